"""Runs the statements of `bench/sql` on the database in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SQL = Path(__file__).parent / "sql"


def rows(name: str, *values: Any) -> list[Any]:
    """What a statement gives."""
    from lifecycle import database

    with database.transaction() as connection:
        return database.driver(connection).execute((_SQL / name).read_bytes(), values or None).fetchall()


def execute(name: str, **numbers: int) -> None:
    """Run a script, with numbers for the words that stand in braces."""
    from lifecycle import database

    text = (_SQL / name).read_text(encoding="utf-8").format(**numbers)
    with database.transaction() as connection:
        database.driver(connection).execute(text.encode())
