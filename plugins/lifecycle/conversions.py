"""Conversions: who reached a journey's goal, found before anybody is messaged (K-07)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey
    from lifecycle.runs import RunContext


def record(connection: Connection, run_id: int, context: RunContext) -> list[str]:
    """Record who reached the goal, as far as the transaction knows, and end their enrollment.

    Returns the ids of the customers who reached it on the day before the run. Repeating a run returns the same ids: the
    database is the truth, XCom only carries them.
    """
    goal = context.journey.goal
    if goal is None:
        return []
    with found(connection, context.journey):
        database.run(
            connection,
            "engine/conversions/record.sql",
            journey=context.journey.name,
            run_id=run_id,
            within_days=goal.within_days,
        )
    of_day = database.rows(
        connection, "engine/conversions/of_day.sql", journey=context.journey.name, as_of=context.as_of
    )
    return [row.customer_id for row in of_day]


@contextmanager
def found(connection: Connection, journey: Journey) -> Iterator[None]:
    """Have what a journey's goal finds at the transaction's `as_of()` in the table `found_conversions`."""
    assert journey.goal is not None
    file = AnalystSql(journey.sql_path(journey.goal.sql), "goal")
    file.checked_columns(connection)
    database.run(connection, "engine/conversions/create_found.sql")
    database.copy_rows(
        connection, "found_conversions", ("customer_id", "anchor", "converted_at"), list(file.stream(connection))
    )
    yield
    database.run(connection, "engine/conversions/drop_found.sql")
