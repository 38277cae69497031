"""Suppressions: addresses that get no more marketing, kept by hash so that they outlive the address (H-08)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.runs import RunContext


def apply_end(connection: Connection, context: RunContext) -> int:
    """Suppress whoever the journey's end names, and end their enrollment (H-01). Returns how many addresses."""
    end = context.journey.ends_with
    if end is None:
        return 0
    file = AnalystSql(context.journey.sql_path(end.sql), "end")
    file.checked_columns(connection)
    database.run(connection, "engine/suppressions/create_ended.sql")
    database.copy_rows(connection, "ended_enrollments", ("customer_id", "anchor"), list(file.stream(connection)))
    suppressed = database.run(
        connection,
        "engine/suppressions/sunset.sql",
        journey=context.journey.name,
        as_of=context.known_at,
        channel=end.channel,
        reason=end.reason,
    )
    database.run(connection, "engine/suppressions/drop_ended.sql")
    return suppressed
