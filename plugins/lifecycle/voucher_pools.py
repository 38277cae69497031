"""Voucher pools: codes of the shop system, imported to be given one by one, and how long they will last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lifecycle import csv_files, database, journeys, settings, vouchers
from lifecycle.contract import Column, Table
from lifecycle.errors import LifecycleError
from lifecycle.journey import check_name
from lifecycle.reports import Problem

# What a pool's use is measured over; a pool that is in use for less, over what it is.
PACE_DAYS = 14
_FILE = Table("codes", (Column("code", "text", required=True),))
_SHORTEST_KEY = 4
_LONGEST_CODE = 64
_LOOK_AT = "docs/how-to/give-vouchers.md"


@dataclass(frozen=True)
class Pool:
    """A pool: how many codes it ever had and has left, how many were given in the last 14 days, and the forecast.

    `days_left` is how long what is left lasts at that pace; None for a pool nobody draws from.
    """

    pool: str
    imported: int
    left: int
    given_lately: int
    days_left: int | None
    # Since when things are as they are: the last time a code was given or imported.
    since: datetime


def import_codes(pool: str, path: Path) -> int:
    """Add the codes of a CSV file with the column `code` to a pool, all or nothing. Returns how many.

    Raises:
        LifecycleError: a code is not usable, stands twice in the file, or is known already; file and line are named.
    """
    check_name("voucher pool", pool)
    found = _read(path)
    with database.transaction() as connection:
        database.require_schema(connection)
        database.run(connection, "engine/vouchers/lock_pools.sql")
        for row in database.rows(connection, "engine/vouchers/known_keys.sql", keys=list(found)):
            line, code = found[row.code_key]
            where = f"in the pool {row.pool}" if row.pool else "as a voucher of ours"
            hint = "Import only codes that are new; nothing was imported"
            raise LifecycleError(f"The code {code!r} is known already, {where}", file=path, line=line, hint=hint)
        records = ((pool, code, key) for key, (_, code) in found.items())
        return database.copy_rows(connection, "lifecycle.voucher_codes", ("pool", "code", "code_key"), records)


def _read(path: Path) -> dict[str, tuple[int, str]]:
    """The codes of a file by how they are compared, each with its line."""
    if not path.is_file():
        raise LifecycleError("No such file", file=path, hint="Give a CSV file with the column code")
    found: dict[str, tuple[int, str]] = {}
    for line, (typed,) in csv_files.opened(_FILE, path).rows():
        code = typed.strip()
        key = vouchers.code_key(code)
        if len(key) < _SHORTEST_KEY or len(code) > _LONGEST_CODE or not code.isprintable():
            hint = f"A code has {_SHORTEST_KEY} letters and digits at least, and {_LONGEST_CODE} characters at most"
            raise LifecycleError(f"{code[:_LONGEST_CODE]!r} is no code", file=path, line=line, hint=hint)
        if key in found:
            first, other = found[key]
            what = f"The code {code!r} stands in line {first} already"
            what += "" if other == code else f", as {other!r}"
            hint = "Case, spaces and dashes make no difference: remove one of them; nothing was imported"
            raise LifecycleError(what, file=path, line=line, hint=hint)
        found[key] = (line, code)
    if not found:
        raise LifecycleError("The file holds no code", file=path, hint="Write one code a row, below the header code")
    return found


def listed(now: datetime) -> list[Pool]:
    """Every pool with what is left of it, by name, and its pace over the days up to `now`."""
    with database.transaction() as connection:
        database.require_schema(connection)
        found = database.rows(connection, "engine/vouchers/pools.sql", now=now, pace_days=PACE_DAYS)
        return [Pool(*row) for row in found]


def problems(now: datetime) -> list[Problem]:
    """Pools that journeys draw from and that are empty, or will be within `LIFECYCLE_VOUCHER_POOL_DAYS`."""
    known = {pool.pool: pool for pool in listed(now)}
    drawn_from = _declared()
    warned = timedelta(days=settings.voucher_pool_days())
    found: list[Problem] = []
    for name in sorted(known.keys() | drawn_from):
        pool = known.get(name)
        if pool is None:
            found.append(Problem("no_voucher_left", name, 0, now, "no code was ever imported", _LOOK_AT))
        elif not pool.left and (name in drawn_from or pool.given_lately):
            found.append(Problem("no_voucher_left", name, 0, pool.since, "no code is left", _LOOK_AT))
        elif pool.days_left is not None and timedelta(days=pool.days_left) < warned:
            why = f"{pool.left} codes are left, {pool.given_lately} were given in {PACE_DAYS} days: "
            why += f"empty in {pool.days_left} days" if pool.days_left else "empty within a day"
            found.append(Problem("few_vouchers_left", name, 0, pool.since, why, _LOOK_AT))
    return found


def _declared() -> set[str]:
    """The pools that journeys name; a journey whose Dag file does not load is not asked."""
    pools: set[str] = set()
    for name in journeys.names():
        try:
            journey = journeys.load(name).journey
        except LifecycleError:
            continue
        pools |= {step.voucher.pool for step in journey.steps if step.voucher and step.voucher.pool}
    return pools
