"""Replay: what a journey picks, or would have done, day by day over the past, sending nothing and writing nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import approvals, as_of, database, runs, segments, stages, ticks

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journeys import Declared
    from lifecycle.replay_summary import ReplaySummary
    from lifecycle.runs import RunContext


class ReplayRow(NamedTuple):
    """One person due at one step: `outcome` is due, would_send, held, skipped or already_decided.

    Who is `held` gets the message once a person has approved of the step's audience; `reason` says what is unusual.
    """

    run_day: date
    step: str
    customer_id: str
    anchor: str
    outcome: str
    reason: str


def without_policy(declared: Declared, first: date, last: date) -> Iterator[ReplayRow]:
    """Whom the segments pick on each day, as a stream: memory does not grow with the days."""
    with database.transaction() as connection:
        database.require_schema(connection)
        for step in declared.journey.steps:
            segments.check(connection, declared.journey, step)
        for day in as_of.days_between(first, last):
            instant = runs.instant_of(declared.journey, day, declared.zone)
            database.set_as_of(connection, instant, declared.zone)
            for step in declared.journey.steps:
                for person in segments.people(connection, segments.segment_of(declared.journey, step)):
                    yield ReplayRow(day, step.name, person.customer_id, person.anchor, "due", "")


def with_policy(
    declared: Declared, first: date, last: date, *, summary: ReplaySummary | None = None
) -> Iterator[ReplayRow]:
    """What the journey would have done had it started on the first day, every message counted as received.

    A `summary` sums it up on the way. A journey that looks every few minutes does so once a day here, at its end: it
    finds the same.
    """
    context = None
    with _undone() as connection:
        stages.check_files(connection, declared.journey)
        database.run(connection, "engine/runs/forget_journey.sql", journey=declared.journey.name)
        if declared.journey.tick:
            _switch_on(connection, declared, first)
        for day in as_of.days_between(first, last):
            context = runs.for_day(declared.journey, day, declared.zone, run_type="replay")
            run_id = _rehearse(connection, context)
            rows = _decided(connection, context, run_id, _held(connection, context, run_id))
            if summary:
                summary.add_day(connection, context, run_id, rows)
            yield from rows
            database.run(connection, "engine/outbox/rehearse_sending.sql", run_id=run_id)
        if summary and context:
            summary.finish(connection, context)


def plan(context: RunContext) -> list[ReplayRow]:
    """What a run would do now, given everything that was decided before."""
    with _undone() as connection:
        stages.check_files(connection, context.journey)
        run_id = _rehearse(connection, context)
        return _decided(connection, context, run_id, _held(connection, context, run_id))


def repairs(contexts: Sequence[RunContext]) -> Iterator[ReplayRow]:
    """What runs of several days would do now, one after the other, each message of a day counted as received."""
    with _undone() as connection:
        stages.check_files(connection, contexts[0].journey)
        for context in contexts:
            run_id = _rehearse(connection, context)
            yield from _decided(connection, context, run_id, {})
            database.run(connection, "engine/outbox/rehearse_sending.sql", run_id=run_id)


def _switch_on(connection: Connection, declared: Declared, first: date) -> None:
    """Let a journey that looks every few minutes note what was before the first day, as its first look does."""
    midnight = as_of.midnight(first, declared.zone)
    ticks.decide(connection, runs.RunContext(declared.journey, midnight, declared.zone, run_type="replay"))


def _rehearse(connection: Connection, context: RunContext) -> int:
    """Every stage of a run but the sending, inside a transaction that is never committed."""
    if context.journey.tick:
        decided = ticks.decide(connection, context, approved=_everybody(context))
        return decided.run_id if decided else runs.open_run(connection, context)
    run_id = runs.open_run(connection, context)
    converted_ids = stages.find_converted(connection, run_id, context)
    database.set_as_of(connection, context.as_of, context.zone)
    for step in context.journey.steps:
        segments.select_audience(connection, run_id, context.journey, step)
    for step in context.journey.steps:
        stages.plan_step(connection, run_id, context, step, converted_ids)
    stages.close_enrollments(connection, context)
    return run_id


def _everybody(context: RunContext) -> dict[str, int]:
    """Nobody is asked about a rehearsal, however many are due."""
    return {step.name: sys.maxsize for step in context.journey.steps}


def _held(connection: Connection, context: RunContext, run_id: int) -> dict[str, str]:
    """What is unusual about the audiences of a rehearsed run that would wait for a person, by step."""
    if context.journey.tick:
        return ticks.held(connection, run_id)
    found = (approvals.held(connection, run_id, context, step) for step in context.journey.steps)
    return {waiting.step: waiting.why for waiting in found if waiting}


def _decided(connection: Connection, context: RunContext, run_id: int, held: dict[str, str]) -> list[ReplayRow]:
    order = {step.name: place for place, step in enumerate(context.journey.steps)}
    found = database.rows(connection, "engine/outbox/of_run.sql", run_id=run_id, journey=context.journey.name)
    rows = (
        ReplayRow(
            context.run_day, row.step, row.customer_id, row.anchor, *_named(row.outcome, row.reason, held.get(row.step))
        )
        for row in found
    )
    return sorted(rows, key=lambda row: (order[row.step], row.customer_id, row.anchor))


def _named(outcome: str, reason: str, held: str | None) -> tuple[str, str]:
    """How an outcome reads before anything is sent."""
    if outcome != "queued":
        return outcome, reason
    return ("held", held) if held else ("would_send", reason)


@contextmanager
def _undone() -> Iterator[Connection]:
    """A transaction that ends in a rollback: the engine's own code runs, and nothing stays."""
    with database.transaction() as connection:
        database.require_schema(connection)
        # A savepoint, because SQLAlchemy commits the outer transaction at the end of its block.
        with connection.begin_nested() as rehearsal:
            yield connection
            rehearsal.rollback()
