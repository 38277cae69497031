"""Conversions: who reached a journey's goal, found before anybody is messaged (K-07)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.runs import RunContext


def record(connection: Connection, run_id: int, context: RunContext) -> list[str]:
    """Record who reached the goal, as far as the transaction knows, and end their enrollment.

    Returns the ids of the customers who reached it on the day before the run. Repeating a run returns the same ids: the
    database is the truth, XCom only carries them.
    """
    goal = context.journey.goal
    if goal is None:
        return []
    file = AnalystSql(context.journey.sql_path(goal.sql), "goal")
    file.checked_columns(connection)
    database.run(connection, "engine/conversions/create_found.sql")
    found = list(file.stream(connection))
    database.copy_rows(connection, "found_conversions", ("customer_id", "anchor", "converted_at"), found)
    database.run(
        connection,
        "engine/conversions/record.sql",
        journey=context.journey.name,
        run_id=run_id,
        within_days=goal.within_days,
    )
    database.run(connection, "engine/conversions/drop_found.sql")
    of_day = database.rows(
        connection, "engine/conversions/of_day.sql", journey=context.journey.name, as_of=context.as_of
    )
    return [row.customer_id for row in of_day]
