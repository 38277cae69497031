"""Sources: the company's tables a journey reads, and whether they are complete enough to pick anybody from.

Nobody is won back while the orders are late. Which sources a journey reads is found in its SQL, through the contract
views. A source is late when its newest fact is too old for the run, measured against the run's instant and never the
clock: a past day is complete when anything newer is known. It is broken when it shrank, or lost values, since the last run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import as_of, contract, database, settings
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey
    from lifecycle.runs import RunContext

# A source moves daily when it had facts on so many of 28 days, and so many facts: closed weekends are no outage, and a
# shop of a few people has quiet days.
BUSY_DAYS = 20
BUSY_FACTS = 280
# A source is counted up to this size; above it Postgres' own estimate is good enough to see that it shrank.
COUNTED_UP_TO = 200_000
SHRUNK_BELOW = 0.9
NEVER_SHRUNK_BELOW = 1_000
MORE_NULLS = 0.05
SAMPLE = 5_000
LEAST_SAMPLE = 100

_CONTRACT = {table.name: table for table in contract.TABLES}


class SourceHeldError(LifecycleError):
    """A source is late or broken; it may be right in a while."""


@dataclass(frozen=True)
class Source:
    """What a source looked like when a run began; `problem` is empty when nothing is wrong."""

    name: str
    row_count: int
    newest_at: datetime | None
    null_shares: dict[str, float]
    moves_daily: bool
    problem: str = ""


def names_of(journey: Journey) -> list[str]:
    """The sources that the SQL files of a journey read, through the contract views."""
    reads = _views()
    found: set[tuple[str, str]] = set()
    waiting = {table for path in journey.sql_files() for table in _tables(path)}
    while waiting:
        table = waiting.pop()
        found.add(table)
        waiting |= reads.get(table, frozenset()) - found
    return sorted(name for schema, name in found if schema == "source" and name in _CONTRACT)


def examined(connection: Connection, context: RunContext) -> list[Source]:
    """Every source of a journey, measured now and judged for a run. A transactional journey has those it names only."""
    journey = context.journey
    names = [name for name in names_of(journey) if journey.kind == "marketing" or name in journey.named_sources]
    last = {row.source: row for row in database.rows(connection, "engine/sources/last_good.sql", journey=journey.name)}
    run = {"journey": journey.name, "as_of": context.as_of}
    accepted = {(row.source, row.newest_at) for row in database.rows(connection, "engine/sources/accepted.sql", **run)}
    found = []
    for name in names:
        source = _measured(connection, context, name)
        late = "" if (name, source.newest_at) in accepted else _lateness(context, source)
        found.append(replace(source, problem=late or _damage(source, last.get(name))))
    return found


def require(found: list[Source], context: RunContext) -> None:
    """Refuse to pick anybody from sources that are late or broken.

    Raises:
        SourceHeldError: which source, what is wrong with it, and what to do.
    """
    problems = [f"{source.name} {source.problem}" for source in found if source.problem]
    if problems:
        journey = context.journey.name
        hint = (
            "Load what is missing and run again, see docs/runbooks/source-is-late.md. "
            f"If it is right as it is: lifecycle sources {journey} --as-of {context.run_day} --accept"
        )
        raise SourceHeldError(f"{journey} waits for its sources: {'; '.join(problems)}", hint=hint)


def keep(connection: Connection, context: RunContext, found: list[Source], *, accepted_by: str | None = None) -> None:
    """Remember what the sources look like: all of them when they are right or accepted, else what is wrong alone."""
    run = {"journey": context.journey.name, "as_of": context.as_of}
    database.run(connection, "engine/sources/forget_problems.sql", **run)
    is_held = any(source.problem for source in found) and not accepted_by
    for source in found:
        if is_held and not source.problem:
            continue
        database.run(
            connection,
            "engine/sources/record.sql",
            **run,
            source=source.name,
            row_count=source.row_count,
            newest_at=source.newest_at,
            null_shares=json.dumps(source.null_shares),
            problem=source.problem if is_held else "",
            accepted_by=accepted_by,
        )


def _lateness(context: RunContext, source: Source) -> str:
    limit = context.journey.source_limit(source.name)
    is_named = source.name in context.journey.named_sources
    if not is_named and not source.moves_daily:
        return ""
    if source.newest_at is None:
        return "is empty"
    age = context.known_at - source.newest_at
    if age <= limit:
        return ""
    return (
        f"is late: its newest fact is of {source.newest_at:%Y-%m-%d %H:%M %Z}, {_hours(age)} hours before the run's "
        f"midnight, and {_hours(limit)} are allowed"
    )


def _hours(span: timedelta) -> int:
    return round(span.total_seconds() / 3600)


def _damage(source: Source, last: Any) -> str:
    if last is None:
        return ""
    if last.row_count >= NEVER_SHRUNK_BELOW and source.row_count < SHRUNK_BELOW * last.row_count:
        return f"shrank: {source.row_count:,} rows, {last.row_count:,} at the last run"
    for column, share in source.null_shares.items():
        before = last.null_shares.get(column, 0)
        if share > before + MORE_NULLS:
            return f"lost values: {share:.0%} of the newest rows have no {column}, {before:.0%} at the last run"
    return ""


def _measured(connection: Connection, context: RunContext, name: str) -> Source:
    table = _CONTRACT[name]
    newest_at, moves_daily = None, False
    if table.known_from:
        # The day after the one the clock shows: some zones are ahead.
        tomorrow = context.today + timedelta(days=context.skew_days + 1)
        not_after = as_of.midnight(tomorrow, context.zone)
        newest_at = _ask(connection, "newest", table, not_after=not_after)[0].newest_at
        moves_daily = newest_at is not None and _moves_daily(connection, table, newest_at)
    required = [column.stored_name for column in table.columns if column.required]
    nulls = _ask(connection, "nulls", table, columns=required, sample=SAMPLE)
    shares = {row.name: round(float(row.share), 4) for row in nulls if row.facts >= LEAST_SAMPLE}
    return Source(name, _row_count(connection, table), newest_at, shares, moves_daily)


def _moves_daily(connection: Connection, table: contract.Table, newest_at: datetime) -> bool:
    (pace,) = _ask(connection, "pace", table, newest_at=newest_at, enough=BUSY_FACTS)
    return pace.busy_days >= BUSY_DAYS and pace.facts >= BUSY_FACTS


def _row_count(connection: Connection, table: contract.Table) -> int:
    (plans,) = _ask(connection, "estimate", table)[0]
    estimate = plans[0]["Plan"]["Plan Rows"]
    return estimate if estimate > COUNTED_UP_TO else _ask(connection, "count", table)[0].row_count


def _ask(connection: Connection, question: str, table: contract.Table, **values: Any) -> list[Any]:
    """The answer to a question about a source. Names cannot be parameters; these are of our own contract."""
    from sqlalchemy import text

    asked = database.statement(f"engine/sources/{question}.sql")
    asked = asked.replace(":source", f"source.{table.name}")
    return list(connection.execute(text(asked.replace(":known_from", table.known_from or "(select null)")), values))


def _views() -> dict[tuple[str, str], frozenset[tuple[str, str]]]:
    """Which tables each contract view reads."""
    folder = settings.sql_folder() / "contract"
    return {("shop", path.stem.split("_", 1)[1]): _tables(path) for path in sorted(folder.glob("*.sql"))}


def _tables(path: Path) -> frozenset[tuple[str, str]]:
    return _tables_of(path.read_text(encoding="utf-8-sig"))


@lru_cache(maxsize=256)
def _tables_of(text: str) -> frozenset[tuple[str, str]]:
    """Schema and name of every table that a statement reads."""
    import sqlglot
    from sqlglot import exp

    tables = [
        table
        for statement in sqlglot.parse(text, dialect="postgres")
        if statement
        for table in statement.find_all(exp.Table)
    ]
    return frozenset((table.db.lower(), table.name.lower()) for table in tables if table.db)
