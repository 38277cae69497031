"""Databases for tests: each migrated and empty, in use by one test at a time.

Copying the template makes and removes six hundred files. A database whose rows alone changed is emptied instead and lent
again; whatever else changed in it, it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import sql

from lifecycle import database, embedded_postgres

TEMPLATE = "lifecycle_template"
# Beyond this it is cheaper to copy the template than to delete rows, and deleted rows slow down what comes next.
MOST_BYTES = 16 * 1024**2
# What the migrations fill; a test that changes it does not give its database back.
SEEDS = ("lifecycle.zones", "lifecycle.phone_zones", "public.lifecycle_migrations")
_CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_extension", "pg_index",
    "pg_policy", "pg_proc", "pg_rewrite", "pg_trigger", "pg_type",
)  # fmt: skip

Connection = psycopg.Connection[Any]


class Databases:
    """The test databases of one server: lends fresh ones, or ones as good as fresh."""

    def __init__(self) -> None:
        self._numbers = count(1)
        # Names of databases that are empty again, with what they were like when they were fresh.
        self._spare: dict[str, tuple[Any, ...]] = {}

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The address of a migrated, empty database, for as long as the block runs."""
        name, fresh = self._spare.popitem() if self._spare else self._copied()
        yield embedded_postgres.url(name)
        database.disconnect()
        if _is_as_good_as_fresh(name, fresh):
            self._spare[name] = fresh
        else:
            tell_server(f"drop database {name} with (force)")

    def _copied(self) -> tuple[str, tuple[Any, ...]]:
        name = f"test_{next(self._numbers)}"
        tell_server(f"create database {name} template {TEMPLATE} strategy file_copy")
        with _connected(name) as connection:
            return name, _all_but_rows(connection)


def tell_server(command: str) -> None:
    """Run a statement outside of any test database."""
    with _connected("postgres") as server:
        server.execute(command.encode())


def _connected(name: str) -> Connection:
    return psycopg.connect(embedded_postgres.plain_url(embedded_postgres.url(name)), autocommit=True)


def _is_as_good_as_fresh(name: str, fresh: tuple[Any, ...]) -> bool:
    """Empty a database, unless more than rows changed or they are many; says whether it is empty."""
    with _connected(name) as connection:
        _end_others(connection)
        if _all_but_rows(connection) != fresh or _bytes(connection) > MOST_BYTES:
            return False
        _delete_rows(connection)
        return True


def _end_others(connection: Connection) -> None:
    """A process that a test left behind must not write into the next one; with it go its temporary tables."""
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    connection.execute(f"select pg_terminate_backend(pid, 10000) {others}".encode())


def _all_but_rows(connection: Connection) -> tuple[Any, ...]:
    """What tells a changed table, view, function, right or statistic: who wrote the rows of the catalogs last, and where."""
    written = "select coalesce(sum(hashtext(xmin::text || ctid::text)), 0) from {}"
    questions = [written.format(table) for table in (*_CATALOGS, *SEEDS)]
    questions += [
        written.format("pg_namespace where nspname !~ '^pg_(toast_)?temp'"),
        "select count(*) from pg_statistic where starelid >= 16384",
        "select sum(reltuples) from pg_class where oid >= 16384 and relkind = 'r'",
        "select datacl::text from pg_database where datname = current_database()",
        "select count(*) from pg_db_role_setting inner join pg_database on setdatabase = pg_database.oid "
        "where datname = current_database()",
    ]
    answer = connection.execute(("select " + ", ".join(f"({question})" for question in questions)).encode()).fetchone()
    assert answer
    return tuple(answer)


def _bytes(connection: Connection) -> int:
    ((size,),) = connection.execute(
        "select coalesce(sum(pg_table_size(oid)), 0)::bigint from pg_class where oid >= 16384 and relkind = 'r'"
    ).fetchall()
    return size


def _delete_rows(connection: Connection) -> None:
    """Without triggers: the ledger refuses to forget, and the order of the tables must not matter."""
    tables = connection.execute(
        "select schemaname || '.' || relname from pg_stat_user_tables where pg_relation_size(relid) > 0"
    ).fetchall()
    sequences = connection.execute(
        "select schemaname, sequencename, start_value from pg_sequences where last_value is not null"
    ).fetchall()
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")
        for (table,) in tables:
            if table not in SEEDS:
                connection.execute(f"delete from {table}".encode())
        for schema, sequence, start in sequences:
            full_name = sql.Identifier(schema, sequence).as_string(connection)
            connection.execute("select setval(%s::regclass, %s, false)", (full_name, start))
