"""The one door to Postgres: connections, transactions, SQL files and schema migrations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import contract, settings
from lifecycle.errors import LifecycleError, TryAgainError

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection
    from sqlalchemy.engine import Connection, Engine, Row

# A segment, goal or suppression may run this long before Postgres ends it.
ANALYST_TIMEOUT = "120s"
_MIGRATION_LOCK = 5_304_117


_engines: dict[str, Engine] = {}


def _engine(url: str) -> Engine:
    if url not in _engines:
        _engines[url] = _make_engine(url)
    return _engines[url]


def _make_engine(url: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    # SQLAlchemy's name for psycopg 3 is spelled out: its default for a bare URL differs between versions.
    spelled_out, is_postgres = re.subn(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", url)
    try:
        if not is_postgres:
            raise ValueError
        # Parameters may be names and addresses: they never belong into an error text. Nothing is prepared on the server:
        # a plan made for any values reads a whole table where one for these values reads a chunk, and poolers that
        # hand out a connection per transaction know no prepared statements.
        return create_engine(
            spelled_out,
            pool_pre_ping=True,
            pool_size=4,
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "prepare_threshold": None},
        )
    except (ArgumentError, ValueError):
        # The text holds a password: not even the part that is wrong is shown.
        hint = "Write it as postgresql://user:password@host:port/name"
        raise LifecycleError("LIFECYCLE_DATABASE_URL is not the address of a Postgres", hint=hint) from None


def url() -> str:
    """The database in use: `LIFECYCLE_DATABASE_URL`, or the embedded Postgres, started if it is not running."""
    configured = settings.database_url()
    if configured:
        return configured
    from lifecycle import embedded_postgres

    return embedded_postgres.ensure_running()


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on the lifecycle database; commits at the end, rolls back on any error.

    Raises:
        TryAgainError: Postgres cannot be reached, or went away.
    """
    from sqlalchemy.exc import DBAPIError, OperationalError

    engine = _engine(url())
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise _unreachable(error) from None
    try:
        with connection, connection.begin():
            yield connection
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _unreachable(error) from None
        raise (_explained(error) or error) from None


# What an operator has to do about it, by the codes of Postgres; trying again is safe with those of class 53.
_CHANGED = "The tables or views are not those of this version: run lifecycle db migrate, then lifecycle check"
_REMEDIES = {
    "42703": _CHANGED,
    "42P01": _CHANGED,
    "25006": "This is a read-only replica: set LIFECYCLE_DATABASE_URL to the primary server",
    "53100": "The disk of Postgres is full: make room and try again; nothing of this was written",
    "53200": "Postgres ran out of memory: give it more and try again; nothing of this was written",
    "53400": "A limit of Postgres was reached, such as temp_file_limit: raise it and try again; nothing of this was written",
}


def _explained(error: Exception) -> LifecycleError | None:
    """An error that says something about the server and not about our statement, with what to do; else None."""
    original: Any = getattr(error, "orig", None)
    code = getattr(original, "sqlstate", None) or ""
    if code not in _REMEDIES:
        return None
    kind = TryAgainError if code.startswith("53") else LifecycleError
    return kind(f"Postgres says: {original.diag.message_primary or code}", hint=_REMEDIES[code])


def _unreachable(error: Exception) -> TryAgainError:
    first_line = str(getattr(error, "orig", error)).strip().splitlines()[0]
    # A password may hold @ and /, and may also stand behind the question mark.
    where = re.sub(r"//.*@|\?.*", lambda match: "//" if match[0].startswith("//") else "", settings.database_url())
    where = where or "the embedded Postgres"
    return TryAgainError(
        f"Postgres is not reachable at {where}: {first_line}",
        hint="Start it, or correct LIFECYCLE_DATABASE_URL (unset it to use the embedded Postgres)",
    )


def disconnect() -> None:
    """Close every pooled connection, for example before a database is dropped."""
    for engine in _engines.values():
        engine.dispose()
    _engines.clear()


def driver(connection: Connection) -> PsycopgConnection[Any]:
    """The psycopg connection below, for COPY and server-side cursors."""
    raw: Any = connection.connection.driver_connection
    return raw


@lru_cache(maxsize=256)
def statement(path: str) -> str:
    """The text of an engine statement, by its path below `include/sql` such as `engine/outbox/claim.sql`."""
    return (settings.sql_folder() / path).read_text(encoding="utf-8")


def run(connection: Connection, path: str, **values: Any) -> int:
    """Execute an engine statement and say how many rows it touched."""
    return _execute(connection, path, values).rowcount


def rows(connection: Connection, path: str, **values: Any) -> list[Row[Any]]:
    """Execute an engine statement and return all its rows."""
    return list(_execute(connection, path, values).all())


def stream(connection: Connection, path: str, **values: Any) -> Iterator[Row[Any]]:
    """The rows of an engine statement, some thousands at a time; between two of them the caller may write."""
    from sqlalchemy import text

    options = {"stream_results": True, "yield_per": 5_000}
    yield from connection.execute(text(statement(path)), values, execution_options=options)


def _execute(connection: Connection, path: str, values: dict[str, Any]) -> Any:
    from sqlalchemy import text

    return connection.execute(text(statement(path)), values)


def set_as_of(connection: Connection, as_of: datetime, zone: str) -> None:
    """Fix what `as_of()`, calendar arithmetic and a confirmed referral mean for the rest of the transaction.

    `as_of() - interval '30 days'` then counts local days of `zone`, across both nights of a clock change.
    """
    run(
        connection,
        "engine/session/set_as_of.sql",
        as_of=as_of.isoformat(),
        zone=zone,
        referral_refund_days=str(settings.referral_refund_days()),
        referral_least_cents=str(settings.referral_least_cents()),
    )


@contextmanager
def as_reader(connection: Connection) -> Iterator[None]:
    """Run the statements inside as `lifecycle_reader`: contract views only, nothing is written, with a timeout.

    They have a savepoint of their own, with whose end the transaction may write again. Until then nobody can make it
    writable, whichever role they get at.
    """
    with connection.begin_nested():
        run(connection, "engine/session/become_reader.sql", timeout=ANALYST_TIMEOUT)
        yield
        run(connection, "engine/session/become_engine.sql")


def migrate() -> list[str]:
    """Bring the schema to the newest version and re-create the views; returns the migrations that were applied.

    Safe to call at any time and from several processes: an advisory lock lets one through at a time.
    """
    with transaction() as connection:
        run(connection, "engine/migrations/lock.sql", key=_MIGRATION_LOCK)
        run(connection, "engine/migrations/create_table.sql")
        applied = {row.name for row in rows(connection, "engine/migrations/applied.sql")}
        pending = [name for name in migration_names() if name not in applied]
        for name in pending:
            _run_script(connection, f"schema/{name}.sql")
            run(connection, "engine/migrations/record.sql", name=name)
        recreate_views(connection)
    return pending


def migration_names() -> list[str]:
    """Every migration in order; the last one stands in `schema/HEAD`."""
    return sorted(path.stem for path in (settings.sql_folder() / "schema").glob("[0-9]*.sql"))


def recreate_views(connection: Connection) -> None:
    """Drop and re-create `source.*` (the company's mapping) and `shop.*` (the contract), and grant the reader."""
    _run_script(connection, "engine/migrations/drop_views.sql")
    for path in view_files():
        _run_script(connection, path)
        if path.startswith("sources/"):
            complete_view(connection, "source", Path(path).stem)
    _run_script(connection, "engine/policy/contacts.sql")
    _run_script(connection, "engine/policy/decided.sql")
    _run_script(connection, "engine/migrations/grant_reader.sql")


def complete_view(connection: Connection, schema: str, view: str, table: str = "") -> None:
    """Give a view that maps a source the columns that joined the contract after it was written, as null."""
    name = table or view
    for column in (one for known in contract.TABLES if known.name == name for one in known.columns):
        if column.may_be_missing:
            names = {"schema_name": schema, "view_name": view, "column_name": column.stored_name}
            run(connection, "engine/migrations/complete_view.sql", **names, type_name=column.sql_type)


def view_files() -> list[str]:
    """The view files in the order they are created."""
    folder = settings.sql_folder()
    # A contract view may read another one, so those that do carry a higher number.
    return [
        str(path.relative_to(folder))
        for part in ("sources", "contract")
        for path in sorted((folder / part).glob("*.sql"))
    ]


def _run_script(connection: Connection, path: str) -> None:
    from psycopg import Error

    text = (settings.sql_folder() / path).read_text(encoding="utf-8")
    try:
        # Without parameters psycopg sends the text as it is: `%` is safe and several statements are allowed.
        driver(connection).execute(text.encode())
    except Error as error:
        raise sql_error(path, text, error) from None


def sql_error(path: str, text: str, error: Any) -> LifecycleError:
    """What Postgres said about a SQL file, with the line it points at."""
    position = error.diag.statement_position
    line = text[: int(position)].count("\n") + 1 if position else None
    message = error.diag.message_primary or str(error)
    hint = error.diag.message_hint or "Mend the statement and try again"
    if path.startswith("contract/"):
        # The views of the contract are ours: what they miss, a file of the company does not give.
        hint = "A file in include/sql/sources does not give it: lifecycle check says which"
    return LifecycleError(f"Postgres says: {message}", file=settings.sql_folder() / path, line=line, hint=hint)


def require_schema(connection: Connection) -> None:
    """Refuse to work on a database that was never migrated."""
    from sqlalchemy.exc import ProgrammingError

    try:
        applied = {row.name for row in rows(connection, "engine/migrations/applied.sql")}
    except ProgrammingError:
        applied = set()
    missing = [name for name in migration_names() if name not in applied]
    if missing:
        raise LifecycleError(f"The database lacks {missing[0]}", hint="Run: lifecycle db migrate")


def copy_rows(connection: Connection, table: str, columns: Iterable[str], records: Iterable[tuple[Any, ...]]) -> int:
    """Append records to a table with COPY; `table` is `schema.name`. Returns how many."""
    from psycopg import sql

    command = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with driver(connection).cursor() as cursor, cursor.copy(command) as copy:
        for record in records:
            copy.write_row(record)
            count += 1
    return count
