"""The stages of a run, in order: what the Airflow tasks and `lifecycle run` both execute.

Each stage is one transaction (sending is one per chunk) and may be repeated at any time: what is decided stays decided.
"""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from lifecycle import (
    approvals,
    conversions,
    database,
    delivery,
    enrollments,
    evidence,
    holds,
    missed_days,
    outbox,
    rendering,
    runs,
    segments,
    sources,
    suppressions,
    ticks,
)
from lifecycle.analyst_sql import AnalystSql
from lifecycle.approvals import Held
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Journey, Step
    from lifecycle.runs import RunContext


class Converted(TypedDict):
    """What `record_conversions` hands to the steps, ids only (architecture §3)."""

    as_of: str
    converted: int
    customer_ids: list[str]


def check_sources(context: RunContext) -> dict[str, int]:
    """Check the journey's files and that there is a shop to read, before anything is written.

    Returns the number of customers and orders known at the run's instant.

    Raises:
        LifecycleError: a SQL file or template breaks its contract, or no customers are known.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
        database.set_as_of(connection, context.as_of, context.zone)
        check_files(connection, context.journey)
        known = database.rows(connection, "engine/reports/sources.sql")[0]
    if not known.customers:
        raise LifecycleError(
            f"No customer is known before {context.as_of:%Y-%m-%d %H:%M %Z}",
            hint="Import data with `lifecycle import DIR`, or map your tables in include/sql/sources/",
        )
    _require_sources(context)
    return {"customers": known.customers, "orders": known.orders}


def _require_sources(context: RunContext) -> None:
    """Hold the journey while a source is late or broken; what it looks like is kept first, for the report."""
    with database.transaction() as connection:
        found = sources.examined(connection, context)
        sources.keep(connection, context, found)
    sources.require(found, context)


def check_files(connection: Connection, journey: Journey) -> None:
    """Check every SQL file and template of a journey against its contract.

    Raises:
        LifecycleError: the first mistake, with file, line and hint.
    """
    for check in file_checks(journey):
        check(connection)


def file_checks(journey: Journey) -> list[Callable[[Connection], object]]:
    """One check per step (its segment and templates), one for the landing pages, one per goal and end file."""

    def of_step(step: Step) -> Callable[[Connection], object]:
        return lambda connection: rendering.check_templates(journey, step, *segments.check(connection, journey, step))

    def of_pages(_: Connection) -> None:
        rendering.check_pages(journey)

    return [*map(of_step, journey.steps), of_pages, *(file.checked_columns for file in end_files(journey))]


def analyst_files(journey: Journey) -> list[AnalystSql]:
    """Every SQL file of a journey: the segments in the order of the steps, then goal and end."""
    return [*(segments.segment_of(journey, step) for step in journey.steps), *end_files(journey)]


def end_files(journey: Journey) -> list[AnalystSql]:
    """The goal and end files of a journey."""
    files = [AnalystSql(journey.sql_path(journey.goal.sql), "goal")] if journey.goal else []
    if journey.ends_with:
        files.append(AnalystSql(journey.sql_path(journey.ends_with.sql), "end"))
    return files


def record_conversions(context: RunContext) -> Converted:
    """Open the run, catch up with missed days, and find who reached the goal before anybody is messaged."""
    with database.transaction() as connection:
        missed_days.lock(connection, context.journey)
        run_id = runs.open_run(connection, context)
        customer_ids = find_converted(connection, run_id, context)
    return {"as_of": context.as_of.isoformat(), "converted": len(customer_ids), "customer_ids": customer_ids}


def find_converted(connection: Connection, run_id: int, context: RunContext) -> list[str]:
    """Catch up and record conversions inside the caller's transaction, for runs and for rehearsals alike.

    A late run ends the journey for people before it plans, not after it: what is known by now decides, whatever order
    days are repaired in.
    """
    missed_days.catch_up(connection, context)
    customer_ids = conversions.record(connection, run_id, context)
    if context.late_days:
        close_enrollments(connection, context)
    return customer_ids


def select_audience(context: RunContext, step: Step) -> int:
    """Select the audience of a step. Returns how many people."""
    with database.transaction() as connection:
        run_id = runs.enter(connection, context)
        outbox.lock(connection, context.journey, step)
        return segments.select_audience(connection, run_id, context.journey, step)


def review_audience(context: RunContext, step: Step) -> Held | None:
    """The audience of a step when it is too unusual to go on without a person; None when all is well or approved."""
    with database.transaction() as connection:
        run_id = runs.enter(connection, context)
        outbox.lock(connection, context.journey, step)
        waiting = approvals.held(connection, run_id, context, step)
        if waiting:
            approvals.hold(connection, run_id, waiting)
    return waiting


def decide(context: RunContext, waiting: Held, decision: approvals.Decision, by: str) -> None:
    """Record what a person, `by` name, said about an audience that is held; nothing else counts as approved."""
    with database.transaction() as connection:
        approvals.decide(connection, runs.enter(connection, context), waiting, decision, by)


def queue_messages(context: RunContext, step: Step, converted_ids: list[str]) -> dict[str, int]:
    """Enter new people and plan one message each. Returns counts by outcome.

    Raises:
        AudienceHeldError: the audience is unusual, and nobody approved of it.
    """
    with database.transaction() as connection:
        run_id = runs.enter(connection, context)
        # A selection takes the same lock: what is judged is what is planned.
        outbox.lock(connection, context.journey, step)
        approvals.require(connection, run_id, context, step)
        counts = plan_step(connection, run_id, context, step, converted_ids)
    outbox.refresh_statistics(added_rows=counts.total())
    return dict(counts)


def plan_step(
    connection: Connection, run_id: int, context: RunContext, step: Step, converted_ids: list[str]
) -> Counter[str]:
    """Enter and plan inside the caller's transaction, for runs and for rehearsals alike."""
    enrollments.enter(connection, run_id, context.journey, step)
    return outbox.plan(connection, run_id, context, step, converted_ids)


def send(
    context: RunContext, step: Step, channel: EmailChannel | SmsChannel, *, shard: int = 0, shards: int = 1
) -> dict[str, int]:
    """Settle what earlier tries left uncertain, then send what is queued. Returns counts by outcome.

    Emails that are held and became doubtful on the way are called back and sent again before it ends.
    """
    if isinstance(channel, holds.HoldingChannel):
        holds.settle(channel)
    if isinstance(channel, evidence.Register):
        evidence.settle_uncertain(context, step, channel)

    def send_queue() -> Counter[str]:
        return delivery.send(context, step, channel, shard=shard, shards=shards)

    return dict(
        holds.send(context, step, channel, send_queue) if isinstance(channel, holds.HoldingChannel) else send_queue()
    )


def run_all(
    context: RunContext,
    channel_for: Callable[[Step], EmailChannel | SmsChannel],
    approved: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Every stage of a run, one after the other, without Airflow.

    `approved` says of which steps an unusual audience may be sent to, and of how many people it was said.

    Returns what became of everybody who was due: `{"converted": n, "steps": {step: counts}, "suppressed": n, ...}`.

    Raises:
        AudienceHeldError: a step waits for a person; the others were sent, and the run stays unfinished.
    """
    if context.journey.tick:
        return {"converted": 0, "steps": look(context, channel_for, approved), "suppressed": 0, "readmitted": 0}
    check_sources(context)
    converted = record_conversions(context)
    # All of them first: of several steps that are due for a person the last one goes.
    for step in context.journey.steps:
        select_audience(context, step)
    held: list[Held] = []
    for step in context.journey.steps:
        waiting = review_audience(context, step)
        if waiting and (approved or {}).get(step.name) != waiting.people:
            held.append(waiting)
            continue
        if waiting:
            decide(context, waiting, "approved", getpass.getuser())
        queue_messages(context, step, converted["customer_ids"])
        send(context, step, channel_for(step))
    if held:
        raise approvals.held_error(context, held, hint=approvals.command(context, held))
    closed, readmitted = _close(context)
    for other, step in readmitted:
        send(other, step, channel_for(step))
    return {"converted": converted["converted"], "steps": report(context), **closed}


def look(
    context: RunContext,
    channel_for: Callable[[Step], EmailChannel | SmsChannel],
    approved: Mapping[str, int] | None = None,
) -> dict[str, dict[str, int]]:
    """All of a run of a journey that looks every few minutes: decide about what is new in one transaction, then send.

    Returns counts by outcome of each step that somebody was due for; empty when nothing was new. What an earlier look
    could not send is tried again.

    Raises:
        AudienceHeldError: a step waits for a person, and nothing was decided.
        TryAgainError: a provider asked to wait; what is left stays queued. All other steps had their turn.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
        decided = ticks.decide(connection, context, approved)
        unsent = ticks.unsent_steps(connection, context.journey)
    failures: list[LifecycleError] = []
    for step in unsent:
        try:
            send(context, step, channel_for(step))
        except LifecycleError as error:
            failures.append(error)
    counts: dict[str, dict[str, int]] = {}
    if decided:
        with database.transaction() as connection:
            counts = {
                step.name: dict(outbox.counts_of_step(connection, decided.run_id, step)) for step in decided.steps
            }
            runs.finish(connection, decided.run_id, counts)
    if failures:
        raise failures[0]
    return counts


def close(context: RunContext) -> dict[str, int]:
    """End the journey for those who never reacted, or who entered again. Returns how many of each.

    And, after a day that was executed before its turn, for how many `readmitted` steps of later days it planned again.
    """
    return _close(context)[0]


def _close(context: RunContext) -> tuple[dict[str, int], list[tuple[RunContext, Step]]]:
    with database.transaction() as connection:
        runs.enter(connection, context)
        database.set_as_of(connection, context.known_at, context.zone)
        closed = close_enrollments(connection, context)
        readmitted = missed_days.readmit(connection, context)
    return {**closed, "readmitted": len(readmitted)}, readmitted


def close_enrollments(connection: Connection, context: RunContext) -> dict[str, int]:
    """Close inside the caller's transaction, for runs and for rehearsals alike."""
    superseded = enrollments.supersede(connection, context)
    suppressed = suppressions.apply_end(connection, context)
    return {"superseded": superseded, "suppressed": suppressed}


def report(context: RunContext) -> dict[str, Any]:
    """Count what became of everybody who was due, and close the run with it."""
    journey = context.journey
    with database.transaction() as connection:
        run_id = runs.enter(connection, context)
        counts = {step.name: dict(outbox.counts_of_step(connection, run_id, step)) for step in journey.steps}
        runs.finish(connection, run_id, counts)
    return counts
