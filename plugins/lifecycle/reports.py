"""Reports: what became of everybody who was due, per day; and what waits for a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from lifecycle import database


@dataclass
class DayReport:
    """One run day of a journey; the numbers add up: due = sent + skipped + waiting + failed + unknown."""

    run_day: date
    due: int = 0
    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    failed: int = 0
    unknown: int = 0
    converted: int = 0


_COLUMN = {
    "accepted": "sent",
    "planned": "waiting",
    "queued": "waiting",
    "sending": "waiting",
    "not_planned": "waiting",
    "rejected": "failed",
    "cancelled": "failed",
    "uncertain": "unknown",
    "unconfirmed": "unknown",
}


def per_day(journey: str, first: date, last: date) -> list[DayReport]:
    """One row per day that was run, in order."""
    days: dict[date, DayReport] = {}
    span = {"journey": journey, "from_day": first, "to_day": last}
    with database.transaction() as connection:
        database.require_schema(connection)
        for row in database.rows(connection, "engine/reports/run_days.sql", **span):
            days[row.run_day] = DayReport(row.run_day)
        for row in database.rows(connection, "engine/reports/per_day.sql", **span):
            _count(days[row.run_day], row.outcome, row.reason, row.people)
        for row in database.rows(connection, "engine/reports/conversions_per_day.sql", **span):
            days[row.run_day].converted = row.people
    return list(days.values())


def digest(journey: str) -> tuple[str, int]:
    """One hash over what was ever decided for whom in a journey, ids and timestamps aside, and over how many messages.

    Two databases with the same hash came to the same decisions: a message of a step to a person about an anchor is sent
    (however far it got), or skipped for the same reason.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
        (found,) = database.rows(connection, "engine/reports/digest.sql", journey=journey)
    return found.digest, found.decided


class Sent(NamedTuple):
    """One message of a step that left, may have left, or still waits to leave."""

    customer_id: str
    anchor: str
    send_state: str
    delivery_state: str
    planned_on: date
    settled_at: datetime | None
    has_clicked: bool
    message_id: str


def sent(journey: str, step: str, run_day: date) -> list[Sent]:
    """Everybody whom a step wrote to on a run day, by customer: what was skipped, refused or cancelled is left out."""
    with database.transaction() as connection:
        database.require_schema(connection)
        asked = {"journey": journey, "step": step, "run_day": run_day}
        return [Sent(*row) for row in database.rows(connection, "engine/reports/sent.sql", **asked)]


class Problem(NamedTuple):
    """Something that waits for a person: what, where (a scope or `journey/step`), how many messages, what to do."""

    problem: str
    where: str
    messages: int
    since: datetime
    why: str
    look_at: str


_LOOK_AT = {
    "paused": "lifecycle resume {where}",
    "held": "docs/how-to/approve-an-audience.md",
    "queued": "docs/runbooks/messages-wait.md",
    "sending": "docs/runbooks/messages-wait.md",
    "uncertain": "docs/runbooks/uncertain-messages.md",
    "unconfirmed": "docs/runbooks/uncertain-messages.md",
}


def problems() -> list[Problem]:
    """What waits for a person, of all journeys: what is paused, held, stuck, uncertain, and lately given up."""
    with database.transaction() as connection:
        database.require_schema(connection)
        found = database.rows(connection, "engine/reports/problems.sql")
    return [Problem(*row, look_at=_LOOK_AT[row.problem].format(where=row.place)) for row in found]


def _count(day: DayReport, outcome: str, reason: str, people: int) -> None:
    day.due += people
    if outcome == "skipped":
        day.skipped[reason] += people
    else:
        column = _COLUMN[outcome]
        setattr(day, column, getattr(day, column) + people)
