"""Differences: whom a change of a segment takes in and leaves out, on one day, against a revision of git."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import as_of, database, journeys, previews, rendering, revisions, segments, settings
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import shown_path

if TYPE_CHECKING:
    from lifecycle.journey import Step
    from lifecycle.journeys import Declared

_SAMPLES = 5


class Overlap(NamedTuple):
    """How many of a segment's people a step of another journey picks on the same day, before the change and after it."""

    step: str
    before: int
    after: int


@dataclass(frozen=True)
class Difference:
    """What changed about one step: `before` and `after` count its people, `entering` and `leaving` are customer ids.

    `is_new` when the revision has no such file: then everybody enters. `reanchored` people stay, about something else.
    `cents` is what the change costs on that day, at the price of one SMS to a typical customer; email costs nothing.
    """

    step: str
    file: str
    run_day: date
    is_new: bool
    before: int
    after: int
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    reanchored: tuple[str, ...]
    cents: int
    overlaps: tuple[Overlap, ...] = field(default=())

    def summary(self) -> dict[str, Any]:
        """The difference as counts, with a few masked ids."""
        return {
            "step": self.step,
            "file": self.file,
            "run_day": self.run_day,
            "is_new": self.is_new,
            "before": self.before,
            "after": self.after,
            "in": len(self.entering),
            "out": len(self.leaving),
            "reanchored": len(self.reanchored),
            "sms_cents": self.cents,
            "sample_in": [masked(one) for one in self.entering[:_SAMPLES]],
            "sample_out": [masked(one) for one in self.leaving[:_SAMPLES]],
            "overlaps": [overlap._asdict() for overlap in self.overlaps],
        }

    def people(self) -> Iterator[tuple[str, str, str]]:
        """Step, change (in, out, reanchored) and customer id of everybody the change touches."""
        for change, ids in (("in", self.entering), ("out", self.leaving), ("reanchored", self.reanchored)):
            for customer_id in ids:
                yield self.step, change, customer_id


def masked(customer_id: str) -> str:
    """The first characters of an id: enough to recognise a known one, too little to look a stranger up."""
    return customer_id[: max(1, min(3, len(customer_id) // 2))] + "…"


def of_step(path: str, revision: str, day: date) -> Difference:
    """The difference of one step given as `journey/step`.

    Raises:
        LifecycleError: no git checkout, an unknown revision or step, or one of the two files breaks its contract.
    """
    sha = revisions.commit(revision)
    declared, step = journeys.load_step(path)
    return _difference(declared, step, revision, sha, day, journeys.load_all())


class Changes(NamedTuple):
    """The difference of every changed segment, and the changed files of journeys that are no segment of a step."""

    differences: list[Difference]
    others: list[str]


def of_every_changed_segment(revision: str, day: date) -> Changes:
    """The differences of all steps whose segment file is not what it is at the revision, in order of journey and step.

    Raises:
        LifecycleError: no git checkout, an unknown revision, or a changed file breaks its contract.
    """
    sha = revisions.commit(revision)
    changed = revisions.changed_files(sha, settings.sql_folder() / "journeys")
    every = journeys.load_all() if changed else []
    found, compared = [], set()
    for declared in every:
        for step in declared.journey.steps:
            file = declared.journey.sql_path(step.segment)
            if file in changed:
                found.append(_difference(declared, step, revision, sha, day, every))
                compared.add(file)
    return Changes(found, [_from_top(file) for file in changed if file not in compared])


def report(changes: Changes, revision: str, day: date) -> str:
    """The changes as Markdown, for a pull request: counts, masked ids, overlaps and cost; no personal data."""
    found = [one.summary() for one in changes.differences]
    values = {"differences": found, "others": changes.others, "revision": revision, "run_day": day}
    return rendering.render_page("pages/segment_changes.report.md", values)


def _difference(
    declared: Declared, step: Step, revision: str, sha: str, day: date, every: list[Declared]
) -> Difference:
    file = segments.segment_of(declared.journey, step)
    older = revisions.file_at(sha, file.path)
    before: set[tuple[str, str]] = set()
    if older is not None:
        before = _people(declared, AnalystSql(revisions.shown_at(revision, file.path), content=older), day)
    after = _people(declared, file, day)
    ids_before, ids_after = ({customer_id for customer_id, _ in people} for people in (before, after))
    return Difference(
        step=f"{declared.journey.name}/{step.name}",
        file=_from_top(file.path),
        run_day=day,
        is_new=older is None,
        before=len(ids_before),
        after=len(ids_after),
        entering=tuple(sorted(ids_after - ids_before)),
        leaving=tuple(sorted(ids_before - ids_after)),
        reanchored=tuple(sorted({customer_id for customer_id, _ in before ^ after} & ids_before & ids_after)),
        cents=(len(after) - len(before)) * _price(declared, step, day),
        overlaps=tuple(_overlaps(declared, every, day, ids_before, ids_after)),
    )


def _people(declared: Declared, file: AnalystSql, day: date) -> set[tuple[str, str]]:
    """Customer and anchor of everybody a file picks on a day, as the journey's run would see it."""
    with database.transaction() as connection:
        database.require_schema(connection)
        database.set_as_of(connection, as_of.midnight(day, declared.zone), declared.zone)
        file.checked_columns(connection)
        return {person[:2] for person in segments.people(connection, file)}


def _overlaps(
    declared: Declared, every: list[Declared], day: date, before: set[str], after: set[str]
) -> Iterator[Overlap]:
    for other in every:
        if other.journey.name == declared.journey.name:
            continue
        for step in other.journey.steps:
            picked = {customer_id for customer_id, _ in _people(other, segments.segment_of(other.journey, step), day)}
            yield Overlap(f"{other.journey.name}/{step.name}", len(picked & before), len(picked & after))


def _price(declared: Declared, step: Step, day: date) -> int:
    """What one message of a step costs in cents, to the first of the made-up customers."""
    return previews.previews(declared, step, day, None)[0].cents if step.message.channel == "sms" else 0


def _from_top(path: Path) -> str:
    root = settings.project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else shown_path(path)
