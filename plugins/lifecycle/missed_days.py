"""Missed days: days of a journey's schedule that no run was executed for, because it was paused or Airflow was down.

A journey must come to the same decisions whatever day its missed days are repaired on, and in whatever order. So every
run first catches up: the audiences of the days that nobody ran are selected and kept, once, and people enter the journey
on the day they reached it. What becomes of the messages of these days is decided when they are repaired.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import database, enrollments, outbox, runs, schedules, segments

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step
    from lifecycle.journeys import Declared
    from lifecycle.runs import RunContext


# A journey that was off for longer starts anew: nobody waits for a message of more than a year ago.
LOOK_BACK = timedelta(days=366)


def lock(connection: Connection, journey: Journey) -> None:
    """Let one run at a time catch up with the missed days of a journey; the lock ends with the transaction."""
    database.run(connection, "engine/missed_days/lock.sql", journey=journey.name)


def catch_up(connection: Connection, context: RunContext) -> list[date]:
    """Keep the audiences of all days up to the run's `today` that no run did it for, and enter their people (A-4).

    A late run does it for its own day too: so it knows everybody's entry before it asks who converted. Returns the days
    it did it for. The caller holds the lock and has opened the run; afterwards `as_of()` is the run's `known_at`.
    """
    caught_up = [day for day in _unselected_days(connection, context) if day != context.run_day or context.late_days]
    for day in caught_up:
        _select(connection, context.of_day(day, run_type="missed"))
    database.set_as_of(connection, context.known_at, context.zone)
    return caught_up


def _unselected_days(connection: Connection, context: RunContext) -> list[date]:
    """The days of the schedule from the first run on that nobody selected the audiences of."""
    journey = context.journey
    (known,) = database.rows(connection, "engine/missed_days/first_run_day.sql", journey=journey.name)
    first = max(known.first_day, context.today - LOOK_BACK)
    span = {"from_day": first, "to_day": context.today}
    steps = [step.name for step in journey.steps]
    selected = database.rows(connection, "engine/missed_days/selected.sql", journey=journey.name, steps=steps, **span)
    done = {row.run_day for row in selected}
    days = schedules.run_days(journey.cron, first, context.today)
    return [day for day in sorted({*days, context.run_day}) if day not in done]


def _select(connection: Connection, missed: RunContext) -> None:
    database.set_as_of(connection, missed.as_of, missed.zone)
    opened = database.rows(
        connection,
        "engine/missed_days/open.sql",
        journey=missed.journey.name,
        as_of=missed.as_of,
        run_day=missed.run_day,
        zone=missed.zone,
        skew_days=missed.skew_days,
        git_sha=runs.git_sha(),
    )
    for step in missed.journey.steps:
        outbox.lock(connection, missed.journey, step)
        segments.select_audience(connection, opened[0].run_id, missed.journey, step)
        enrollments.enter(connection, opened[0].run_id, missed.journey, step)


def readmit(connection: Connection, context: RunContext) -> list[tuple[RunContext, Step]]:
    """Plan again for people whom later runs had left out as past the entry, and who entered by now (A-4).

    It matters to runs that are executed before their turn only: a journey's first days, repaired last. Their messages
    leave as deferred ones do. Returns the steps of other days that it planned, with the runs of these days.
    """
    planned: list[tuple[RunContext, Step]] = []
    found = database.rows(
        connection, "engine/enrollments/readmit.sql", journey=context.journey.name, run_day=context.run_day
    )
    for row in found:
        other = context.of_day(row.run_day, run_type="manual")
        database.set_as_of(connection, other.as_of, other.zone)
        step = other.journey.step(row.step)
        outbox.plan(connection, row.run_id, other, step, [])
        database.run(connection, "engine/outbox/send_soon.sql", run_id=row.run_id, step=step.name)
        planned.append((other, step))
    return planned


class Missed(NamedTuple):
    """Days of a journey that should have been run and were not, without a gap between them.

    `people` are the steps that were due on these days for somebody, as far as a later run has caught up with them.
    """

    journey: str
    first: date
    last: date
    people: int

    def repair(self) -> str:
        """The command that repairs them."""
        return f"lifecycle backfill {self.journey} --from {self.first} --to {self.last}"


def listed(declared: Declared, now: datetime) -> list[Missed]:
    """The days whose hour of the schedule has come, and that no run ended for, since the journey was switched on.

    A journey that was never run has missed nothing, nor has one that looks every few minutes. Days that follow one another in the schedule are one entry.
    """
    journey = declared.journey
    with database.transaction() as connection:
        database.require_schema(connection)
        (known,) = database.rows(connection, "engine/missed_days/first_run_day.sql", journey=journey.name)
        if not journey.cron or journey.tick or known.first_day is None:
            return []
        last = schedules.last_run_day(journey.cron, declared.zone, now)
        first = max(known.first_day, last - LOOK_BACK)
        span = {"journey": journey.name, "from_day": first, "to_day": last}
        done = {row.run_day for row in database.rows(connection, "engine/missed_days/executed.sql", **span)}
        due = {row.run_day: row.people for row in database.rows(connection, "engine/missed_days/due.sql", **span)}
    return _spans(journey.name, schedules.run_days(journey.cron, first, last), done, due)


def _spans(journey: str, days: list[date], done: set[date], due: dict[date, int]) -> list[Missed]:
    spans: list[Missed] = []
    is_open = False
    for day in days:
        if day in done:
            is_open = False
        elif is_open:
            spans[-1] = spans[-1]._replace(last=day, people=spans[-1].people + due.get(day, 0))
        else:
            spans.append(Missed(journey, day, day, due.get(day, 0)))
            is_open = True
    return spans
