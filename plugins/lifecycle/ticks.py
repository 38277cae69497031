"""Ticks: how a journey that looks every few minutes decides about what is new since it last looked (J-01, J-02).

Its segments show everything of the last days, whenever it became known, and nothing is decided twice. So a tick that
never came, came twice or came late needs no repair: the next one decides. A tick that finds nothing new leaves nothing
behind but the time of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import approvals, database, enrollments, outbox, rendering, runs, segments, settings
from lifecycle.approvals import Held

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step
    from lifecycle.journeys import Declared
    from lifecycle.runs import RunContext

# A journey that was not looking for so long waits for a person.
SILENT_FOR = timedelta(minutes=30)


class Decided(NamedTuple):
    """A tick that found something new: its run, and the steps that are due for somebody."""

    run_id: int
    steps: list[Step]


def decide(connection: Connection, context: RunContext, approved: Mapping[str, int] | None = None) -> Decided | None:
    """Plan one message for everything new, inside the caller's transaction; None when there is nothing.

    On its first tick a journey whose `entry` is "none" notes what happened before and messages nobody about it (A-4).
    `approved` says of which steps how many people at most may be written to above the cap.

    Raises:
        AudienceHeldError: more people than the cap are due for a step, and nobody approved of them.
        LifecycleError: a file of the journey breaks its contract.
    """
    journey = context.journey
    (tick,) = database.rows(connection, "engine/ticks/begin.sql", journey=journey.name, as_of=context.as_of)
    lets_in = not tick.is_first or journey.entry == "at_their_age"
    with connection.begin_nested() as looking:
        run_id = runs.open_run(connection, context)
        due = _select(connection, run_id, journey)
        if not due:
            looking.rollback()
            return None
        if lets_in:
            _require_approval(context, due, approved or {})
    for step in due:
        rendering.check_templates(journey, step, *segments.check(connection, journey, step))
        if lets_in:
            enrollments.admit(connection, run_id, journey, step)
        outbox.plan(connection, run_id, context, step, [])
    return Decided(run_id, list(due))


def _select(connection: Connection, run_id: int, journey: Journey) -> dict[Step, int]:
    """How many people are due for each step, without the steps that nobody is due for."""
    for segment in {step.segment: step for step in journey.steps}.values():
        segments.check(connection, journey, segment)
    selected = ((step, segments.select_undecided(connection, run_id, journey, step)) for step in journey.steps)
    return {step: people for step, people in selected if people}


def _require_approval(context: RunContext, due: Mapping[Step, int], approved: Mapping[str, int]) -> None:
    """A mapping gone wrong must not tell a whole shop that its orders were shipped."""
    found = {step.name: people for step, people in due.items() if people > approved.get(step.name, 0)}
    waiting = [Held(step, found[step], "", why) for step, why in _unusual(found).items()]
    if waiting:
        raise approvals.held_error(context, waiting, hint=approvals.command(context, waiting))


def _unusual(due: Mapping[str, int]) -> dict[str, str]:
    """What is unusual about the audiences of a tick: what is usual in five minutes says nothing after an outage."""
    cap = settings.audience_cap()
    return {step: f"{people:,} people, above the cap of {cap:,}" for step, people in due.items() if people > cap}


def held(connection: Connection, run_id: int) -> dict[str, str]:
    """What is unusual about the audiences that a rehearsed tick has kept, by step."""
    found = database.rows(connection, "engine/ticks/due.sql", run_id=run_id)
    return _unusual({row.step: row.people for row in found})


def unsent_steps(connection: Connection, journey: Journey) -> list[Step]:
    """The steps that have something to send or to settle, of this tick or of an earlier one."""
    found = {row.step for row in database.rows(connection, "engine/ticks/unsent_steps.sql", journey=journey.name)}
    return [step for step in journey.steps if step.name in found]


def silent_since(declared: Declared, now: datetime) -> datetime | None:
    """Since when a journey that was switched on has not looked, when that is too long; else None."""
    if not declared.journey.tick:
        return None
    with database.transaction() as connection:
        database.require_schema(connection)
        (newest,) = database.rows(connection, "engine/ticks/newest.sql", journey=declared.journey.name)
    is_silent = newest.looked_at and newest.looked_at + declared.journey.tick + SILENT_FOR < now
    return newest.looked_at if is_silent else None
