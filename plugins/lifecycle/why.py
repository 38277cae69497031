"""Why somebody got a message, did not, or never entered a journey: every condition of the segments and every rule.

Rows are plain dicts without addresses or names: `part` is outcome, segment, policy, message or journey, `rule` what was
asked, `result` the answer in a word, `value` what the answer rests on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lifecycle import as_of, customers, database, outbox, predicates, revisions, runs, segments, settings
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.journey import Step
    from lifecycle.journeys import Declared
    from lifecycle.runs import RunContext

COLUMNS = ("journey", "run_day", "step", "part", "rule", "result", "value")

_TEXT_TYPES = ("text", "character", "varchar", "name", "json", "xml", "bytea", "unknown", "record")


def explain(declared: list[Declared], customer_id: str, day: date | None, now: datetime) -> list[dict[str, Any]]:
    """Every condition and rule of every step for one customer, on a run day.

    Without a day: the last one that decided about a message of the journey for them, else the day of `now`.

    Raises:
        LifecycleError: nobody knows the customer.
    """
    found: list[dict[str, Any]] = []
    with database.transaction() as connection:
        database.require_schema(connection)
        customers.require_known(connection, customer_id)
        for one in declared:
            asked = {"customer_id": customer_id, "journey": one.journey.name}
            (latest,) = database.rows(connection, "engine/why/latest_day.sql", **asked)
            chosen = day or latest.run_day or as_of.run_day(now, one.zone)
            found += _Explanation(connection, one, customer_id, chosen).rows()
    return found


def by_step(rows: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, date], list[tuple[str, list[dict[str, Any]]]]]]:
    """The rows of each journey and day, and in it of each step, in their order."""
    for where, of_journey in groupby(rows, lambda row: (row["journey"], row["run_day"])):
        yield where, [(step, list(lines)) for step, lines in groupby(of_journey, lambda row: row["step"])]


@dataclass
class _Segment:
    """What a step's segment says about the person: their anchors, and a row per condition."""

    anchors: list[str] = field(default_factory=list)
    # By anchor; none for a segment that has no such column.
    skip_reasons: dict[str, str | None] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    first_false: str = ""


class _Explanation:
    """One journey and day for one person."""

    def __init__(self, connection: Connection, declared: Declared, customer_id: str, day: date) -> None:
        self.connection = connection
        self.journey = declared.journey
        self.zone = declared.zone
        self.customer_id = customer_id
        asked = {"customer_id": customer_id, "journey": self.journey.name}
        instant = self._instant(day)
        self.run = database.rows(connection, "engine/why/run.sql", **asked, as_of=instant)
        self.messages = database.rows(connection, "engine/why/messages.sql", **asked)
        self.enrollments = database.rows(connection, "engine/why/enrollments.sql", **asked)
        late_days = self.run[0].late_days if self.run else 0
        self.context = runs.RunContext(self.journey, instant, self.zone, late_days=late_days)
        database.set_as_of(connection, instant, self.zone)
        self.segments = {step.name: self._segment(step) for step in self.journey.steps}

    def _instant(self, day: date) -> datetime:
        """The instant of the run that is asked about: of many on a day the last one that decided about the person."""
        if self.journey.tick:
            asked = {"customer_id": self.customer_id, "journey": self.journey.name, "run_day": day}
            (latest,) = database.rows(self.connection, "engine/why/latest_look.sql", **asked)
            if latest.as_of:
                return latest.as_of.astimezone(as_of.zone_named(self.zone))
        return runs.instant_of(self.journey, day, self.zone)

    def rows(self) -> list[dict[str, Any]]:
        """Where the person stands in the journey, then each step: outcome, segment, rules, and what was recorded."""
        found = [self._row("", "journey", "entered", *one) for one in self._entries()]
        for step in self.journey.steps:
            for anchor in self._anchors(step) or [None]:
                found += self._step(step, anchor)
        return found

    def _row(self, step: str, part: str, rule: str, result: str, value: str) -> dict[str, Any]:
        words = (self.journey.name, self.context.run_day, step, part, rule, result, value)
        return dict(zip(COLUMNS, words, strict=True))

    def _entries(self) -> Iterator[tuple[str, str]]:
        if not self.enrollments:
            yield "never", "no segment of a step that lets people in picked them on a day that was run"
        for entry in self.enrollments:
            left = f", left {self._at(entry.exited_at)}: {entry.exit_reason}" if entry.exited_at else ", still in it"
            yield "yes", f"anchor {entry.anchor}, {self._at(entry.entered_at)}{left}"

    def _at(self, instant: datetime | None) -> str:
        return f"{instant.astimezone(as_of.zone_named(self.zone)):%Y-%m-%d %H:%M}" if instant else ""

    def _selected(self, step: Step) -> list[Row[Any]]:
        """The step's audience in the run, as far as it concerns the person; nothing when it was never selected."""
        return [row for row in self.run if row.step == step.name]

    def _anchors(self, step: Step) -> list[str]:
        """What the person is due about: as the run selected it, else as the segment says now."""
        selected = self._selected(step)
        kept = [row.anchor for row in selected if row.anchor is not None]
        return kept if selected else self.segments[step.name].anchors

    def _message(self, step: Step, anchor: str | None) -> Row[Any] | None:
        for message in self.messages:
            is_due = message.run_day == self.context.run_day if anchor is None else message.anchor == anchor
            if message.step == step.name and is_due:
                return message
        return None

    def _step(self, step: Step, anchor: str | None) -> Iterator[dict[str, Any]]:
        message = self._message(step, anchor)
        # What was decided on another day was decided by what held on that day.
        own = message if message and message.run_day == self.context.run_day else None
        rules = list(self._policy(step, anchor, own))
        yield self._row(step.name, "outcome", "decision", *self._outcome(step, anchor, message, rules))
        yield self._row(step.name, "segment", step.segment, *self._picked(step, anchor))
        yield from self.segments[step.name].rows
        for rule, applies, value in rules:
            yield self._row(step.name, "policy", rule, "applies" if applies else "passes", value)
        if message:
            for rule, result, value in self._recorded(message):
                yield self._row(step.name, "message", rule, result, value)

    def _outcome(
        self, step: Step, anchor: str | None, message: Row[Any] | None, rules: list[tuple[str, bool, str]]
    ) -> tuple[str, str]:
        if message:
            where = "" if message.run_day == self.context.run_day else f"decided on {message.run_day}, once per anchor"
            said = [message.reason, where, "" if message.delivery_state == "none" else message.delivery_state]
            return message.send_state, "; ".join(part for part in said if part)
        if anchor is None:
            return "not due", self.segments[step.name].first_false
        first = next((rule for rule, applies, _ in rules if applies), "")
        waits = "selected, not planned yet; a plan now says: " if self._selected(step) else ""
        return (
            ("skipped", waits + first)
            if first
            else ("would send", waits.removesuffix("a plan now says: ").rstrip("; "))
        )

    # --- segments -----------------------------------------------------------------------------------------------------

    def _file(self, step: Step) -> tuple[AnalystSql, str]:
        """The segment file as the run read it, and a remark when that is not the one that lies there now."""
        file = segments.segment_of(self.journey, step)
        selected = self._selected(step)
        used = selected[0].sql_sha if selected else ""
        if not used or used == file.sha():
            return file, ""
        git_sha = selected[0].git_sha
        older = revisions.file_at(git_sha, file.path) if git_sha else None
        if older is not None:
            kept = AnalystSql(revisions.shown_at(git_sha, file.path), content=older)
            if kept.sha() == used:
                return kept, "the file has changed since; this is how the run read it"
        return file, "the file has changed since, and its old text is not in git: the conditions are today's"

    def _segment(self, step: Step) -> _Segment:
        found = _Segment()
        try:
            file, remark = self._file(step)
            with self.connection.begin_nested():
                says_why = segments.SKIP_REASON in file.columns(self.connection)
                asked = ("anchor", segments.SKIP_REASON) if says_why else ("anchor",)
                query = predicates.for_one_customer(file.text(), self.customer_id, asked)
                picked = file.answers(self.connection, query)
        except LifecycleError as error:
            found.first_false = error.what
            return found
        found.anchors = sorted({str(row["anchor"]) for row in picked})
        if says_why:
            found.skip_reasons = {str(row["anchor"]): row[segments.SKIP_REASON] for row in picked}
        if remark:
            found.rows.append(self._row(step.name, "segment", "file", "changed", remark))
        for part in predicates.parts(file.text(), self.customer_id):
            found.rows += self._conditions(step, file, part)
        failed = [row for row in found.rows if row["result"] in ("false", "no row")]
        found.first_false = f"{failed[0]['rule']}: {failed[0]['value']}" if failed else "the segment does not pick them"
        return found

    def _conditions(self, step: Step, file: AnalystSql, part: predicates.Part) -> Iterator[dict[str, Any]]:
        try:
            with self.connection.begin_nested():
                answer = file.answers(self.connection, part.query)
        except LifecycleError as error:
            # Some statements cannot be taken apart; whom the whole of it picks is known all the same.
            yield self._row(step.name, "segment", part.name or part.reads, "not asked", error.what)
            return
        for predicate in part.predicates:
            where = f"{part.name}, line {predicate.line}" if part.name else f"line {predicate.line}"
            rule = f"{where}: {predicate.text}"
            if not answer:
                yield self._row(step.name, "segment", rule, "no row", f"{part.reads} has no row of this customer")
            else:
                yield self._row(step.name, "segment", rule, *_answered(predicate, answer[0]))

    def _picked(self, step: Step, anchor: str | None) -> tuple[str, str]:
        """Whether the run selected the person, with which version of the file; else whether the segment picks them."""
        selected = self._selected(step)
        said = [f"anchor {anchor}"] if anchor is not None else []
        if not selected:
            said.append("nobody selected this day's audience: as the file says now")
            return ("in" if anchor is not None else "out"), "; ".join(said)
        run = selected[0]
        now = anchor in self.segments[step.name].anchors if anchor is not None else not self.segments[step.name].anchors
        said.append(f"selected by the {run.run_type} run {run.run_id}, git {run.git_sha or 'unknown'}")
        said.append(f"file sha {run.sql_sha[:12] or 'unknown'}")
        if not now:
            said.append(
                f"asked again it says {'out' if anchor is not None else 'in'}: facts of that day came or changed later"
            )
        return ("in" if anchor is not None else "out"), "; ".join(said)

    # --- policy -------------------------------------------------------------------------------------------------------

    def _policy(self, step: Step, anchor: str | None, message: Row[Any] | None) -> Iterator[tuple[str, bool, str]]:
        """Every rule in the order of the plan: its name, whether it forbids the message, and what it rests on."""
        context = self._decided_in(message)
        cap_messages, cap_days = settings.frequency_cap(step.message.channel)
        (known,) = database.rows(
            self.connection,
            "engine/why/policy.sql",
            decided_at=message.planned_at if message else None,
            journey=self.journey.name,
            step=step.name,
            channel=step.message.channel,
            customer_id=self.customer_id,
            anchor=message.anchor if message else anchor,
            run_id=self.run[0].run_id if self.run else None,
            run_day=context.run_day,
            today=context.today,
            priority=self.journey.priority,
            holdout_percent=self.journey.holdout_percent,
            global_holdout_percent=settings.holdout_percent(),
            cap_days=cap_days,
            steps=[one.name for one in self.journey.steps],
            steps_late_days=[outbox.days_worth_sending(one) for one in self.journey.steps],
        )
        is_marketing = self.journey.kind == "marketing"
        yield "past_entry", *self._past_entry(step, known, message)
        yield "stale", *_stale(step, context)
        yield "superseded", *self._superseded(step, known, context, is_marketing)
        yield "converted", *self._converted(known, context, message)
        if self.segments[step.name].skip_reasons:
            yield self._skip_reason(step, anchor)
        yield "holdout", *_only(is_marketing, self._holdout(known))
        yield "invalid_address", not known.has_address, _address(known, step.message.channel)
        yield "no_consent", *_only(is_marketing, self._consent(known))
        yield "suppressed", known.is_blocked or (is_marketing and known.is_suppressed), known.suppressions or "no"
        shared = f"shared with customer {known.shared_with}, who is written to" if known.shared_with else "not shared"
        yield "duplicate_address", *_only(is_marketing, (bool(known.shared_with), shared))
        taken = f"{known.lost_to}/{known.lost_to_step} has the day" if known.lost_to else "no other journey has the day"
        yield "lost_to", *_only(is_marketing, (bool(known.lost_to), taken))
        used = f"{known.capped} of {cap_messages} in {cap_days} days up to {context.today}"
        yield "frequency_cap", *_only(is_marketing, (known.capped >= cap_messages, used))

    def _decided_in(self, message: Row[Any] | None) -> RunContext:
        if message is None:
            return self.context
        late_days = (message.planned_on - message.run_day).days
        return runs.RunContext(self.journey, self.context.as_of, self.zone, late_days=late_days)

    def _past_entry(self, step: Step, known: Row[Any], message: Row[Any] | None) -> tuple[bool, str]:
        if known.entered_at is not None and known.entered_at <= self.context.as_of:
            return False, f"entered {self._at(known.entered_at)}"
        first, entry = self.journey.steps[0].name, self.journey.entry
        lets_in = step.name == first or entry == "at_their_age" or self.journey.tick is not None
        if message is None and lets_in:
            return False, "this step lets people in"
        entered = f"entered later, {self._at(known.entered_at)}" if known.entered_at else "never entered"
        return True, entered

    def _skip_reason(self, step: Step, anchor: str | None) -> tuple[str, bool, str]:
        """What the segment says of the person, as the run selected it, else as it says now; the rule is its own word."""
        kept = {row.anchor: row.skip_reason for row in self._selected(step) if row.anchor is not None}
        said = (kept or self.segments[step.name].skip_reasons).get(anchor) if anchor else None
        return said or segments.SKIP_REASON, bool(said), f"said by {step.segment}" if said else "none"

    def _superseded(self, step: Step, known: Row[Any], context: RunContext, is_marketing: bool) -> tuple[bool, str]:
        if known.exit_reason == "superseded" and known.exited_at <= context.known_at:
            return True, f"entered again with a newer anchor {self._at(known.exited_at)}"
        names = [one.name for one in self.journey.steps]
        behind = names[names.index(step.name) + 1 :]
        due = known.later_steps or ", ".join(name for name in behind if not self.run and self._would_get(name))
        return bool(due) and is_marketing, f"also due: {due}" if due else "no newer step is due"

    def _would_get(self, name: str) -> bool:
        segment = self.segments[name]
        return any(not segment.skip_reasons.get(anchor) for anchor in segment.anchors)

    def _converted(self, known: Row[Any], context: RunContext, message: Row[Any] | None) -> tuple[bool, str]:
        if known.exited_at is not None and known.exit_reason != "superseded":
            return known.exited_at <= context.known_at, f"{known.exit_reason} {self._at(known.exited_at)}"
        reached = self._reached_goal(context) if message is None and known.entered_at else None
        return bool(reached), f"reached the goal {self._at(reached)}" if reached else "no"

    def _reached_goal(self, context: RunContext) -> datetime | None:
        """Since when the goal's file says that the person converted, before any run recorded it."""
        if not self.journey.goal:
            return None
        file = AnalystSql(self.journey.sql_path(self.journey.goal.sql), "goal")
        try:
            with self.connection.begin_nested():
                query = predicates.for_one_customer(file.text(), self.customer_id, ("converted_at",))
                database.set_as_of(self.connection, context.known_at, self.zone)
                return min((row["converted_at"] for row in file.answers(self.connection, query)), default=None)
        except LifecycleError:
            return None
        finally:
            database.set_as_of(self.connection, self.context.as_of, self.zone)

    def _holdout(self, known: Row[Any]) -> tuple[bool, str]:
        everywhere = settings.holdout_percent()
        said = f"{self.journey.holdout_percent} % of this journey, {everywhere} % of all customers"
        return known.is_held_out or known.is_held_out_everywhere, f"left out on purpose: {said}"

    def _consent(self, known: Row[Any]) -> tuple[bool, str]:
        if known.is_granted is not None and (known.opted_in_at is None or known.consent_at >= known.opted_in_at):
            word = "given" if known.is_granted else "refused"
            return not known.is_granted, f"{word} {self._at(known.consent_at)} by {known.consent_source}"
        if known.opted_in_at is None:
            return True, "never given"
        return False, f"given {self._at(known.opted_in_at)} by shop opt-in"

    # --- what was recorded --------------------------------------------------------------------------------------------

    def _recorded(self, message: Row[Any]) -> Iterator[tuple[str, str, str]]:
        run = f"{message.run_type} run {message.run_id} of {message.run_day}, git {message.git_sha or 'unknown'}"
        yield "planned", self._at(message.planned_at), f"by the {run}; counts for {message.planned_on}"
        yield "send_state", message.send_state, "; ".join(filter(None, [message.reason, self._at(message.settled_at)]))
        if message.send_after:
            cause = "put back after the last attempt" if message.attempts else "quiet hours of the person"
            yield "not before", self._at(message.send_after), cause
        yield "attempts", str(message.attempts), message.outcomes
        facts = ("delivered", "opened_human", "complained", "unsubscribed")
        times = [
            f"{name} {self._at(getattr(message, f'{name}_at'))}" for name in facts if getattr(message, f"{name}_at")
        ]
        yield "delivery_state", message.delivery_state, ", ".join(times)
        first = f"first {self._at(message.first_click_at)}" if message.first_click_at else ""
        others = [f"{message.scanner_clicks} by link scanners"] if message.scanner_clicks else []
        others += [f"{message.answers} answers, entries or replies"] if message.answers else []
        yield "clicks", str(message.clicks), ", ".join(filter(None, [first, *others]))


def _answered(predicate: predicates.Predicate, answer: dict[str, Any]) -> tuple[str, str]:
    """Whether a condition holds for the person's best row, with the values it compares."""
    holds = answer[predicate.column]
    said = [f"{one.label} = {_shown(one, answer)}" for one in predicate.operands]
    if answer["rows_read"] > 1:
        said.append(f"holds for {answer[f'{predicate.column}_rows']} of {answer['rows_read']} rows")
    return ("true" if holds else "false"), "; ".join(said)


def _shown(operand: predicates.Operand, answer: dict[str, Any]) -> str:
    value, kind = answer[operand.column], answer[f"{operand.column}_type"]
    if value is None:
        return "null"
    return value if operand.is_showable or not kind.startswith(_TEXT_TYPES) else "(not shown)"


def _only(is_marketing: bool, answer: tuple[bool, str]) -> tuple[bool, str]:
    """A rule of marketing: transactional messages do not ask it (H-08)."""
    return answer if is_marketing else (False, "not asked of transactional messages")


def _stale(step: Step, context: RunContext) -> tuple[bool, str]:
    most = outbox.days_worth_sending(step)
    if most is None:
        return False, f"{context.late_days} days late, sent however late"
    return context.late_days > most, f"{context.late_days} days late, {most} allowed"


def _address(known: Row[Any], channel: str) -> str:
    if not known.is_customer:
        return "was no customer yet"
    noun = "email address" if channel == "email" else "phone number"
    return f"has {'an' if channel == 'email' else 'a'} {noun}" if known.has_address else f"has no {noun}"
