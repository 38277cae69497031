"""Databases to measure in: each is filled once and copied for every run, so that all runs start alike."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import measured

_SQL = Path(__file__).parent / "sql"
_numbers = itertools.count(1)


@contextmanager
def in_use(name: str) -> Iterator[None]:
    """Have the engine work on a database of the embedded Postgres."""
    from lifecycle import database, embedded_postgres

    os.environ["LIFECYCLE_DATABASE_URL"] = embedded_postgres.url(name)
    try:
        yield
    finally:
        database.disconnect()
        del os.environ["LIFECYCLE_DATABASE_URL"]


def make(name: str, script: str, **values: int) -> None:
    """A migrated database filled by a script of `bench/sql`."""
    from lifecycle import database, embedded_postgres

    embedded_postgres.ensure_database(name)
    with in_use(name):
        database.migrate()
        with _connected(name) as connection:
            text = (_SQL / script).read_text(encoding="utf-8")
            for word, value in values.items():
                text = text.replace(f"{{{word}}}", str(value))
            connection.execute(text.encode())
    settle_down(name)


def settle_down(name: str) -> None:
    """Leave nothing to be tidied up later, while something is measured."""
    with _connected(name) as connection:
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")


@contextmanager
def copy_of(name: str) -> Iterator[str]:
    """A copy of a database, in use by the engine and gone afterwards."""
    copy = f"{name}_{next(_numbers)}"
    with _connected("postgres") as server:
        server.execute(f"create database {copy} template {name} strategy file_copy".encode())
        server.execute("checkpoint")
    try:
        with in_use(copy):
            yield copy
    finally:
        drop(copy)


def drop(name: str) -> None:
    """Remove a database."""
    with _connected("postgres") as server:
        server.execute(f"drop database if exists {name} with (force)".encode())


def query(name: str, text: str) -> Any:
    """The first row of a statement's answer."""
    with _connected(name) as connection:
        return connection.execute(text.encode()).fetchone()


def execute(name: str, text: str) -> int:
    """Execute a statement and say how many rows it touched."""
    with _connected(name) as connection:
        return connection.execute(text.encode()).rowcount


@lru_cache(maxsize=1)
def postgres_pid() -> int:
    """The process that all sessions of the embedded Postgres are children of."""
    with _connected("postgres") as server:
        row = server.execute("select pg_backend_pid()").fetchone()
        assert row
        return measured.parent_of(row[0])


def postgres_version() -> str:
    """Such as 18.0."""
    return str(query("postgres", "show server_version")[0]).split()[0]


def _connected(name: str) -> Any:
    import psycopg

    from lifecycle import embedded_postgres

    return psycopg.connect(embedded_postgres.plain_url(embedded_postgres.url(name)), autocommit=True)
