"""Enrollments: a person in a journey, about one anchor, from entry to exit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step
    from lifecycle.runs import RunContext


def enter(connection: Connection, run_id: int, journey: Journey, step: Step) -> int:
    """Enter the audience of a step, where the journey lets people in at that step (A-4). Returns how many are new."""
    if step.name != journey.steps[0].name and journey.entry == "none":
        return 0
    return admit(connection, run_id, journey, step)


def admit(connection: Connection, run_id: int, journey: Journey, step: Step) -> int:
    """Enter the audience of a step, whichever step it is. Returns how many are new."""
    return database.run(connection, "engine/enrollments/enter.sql", run_id=run_id, journey=journey.name, step=step.name)


def supersede(connection: Connection, context: RunContext) -> int:
    """End the older enrollment of whoever entered again with a newer anchor (A-2). Returns how many ended."""
    return database.run(
        connection, "engine/enrollments/supersede.sql", journey=context.journey.name, known_at=context.known_at
    )
