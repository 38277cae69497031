"""Loads a folder of CSV files in the import contract: all of it or nothing, in one pass and in flat memory.

Values are checked here, references and duplicates by Postgres; only when something is wrong is the file read again, to
name the line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import csv_addresses, csv_files, csv_values, database
from lifecycle.contract import TABLES, Column
from lifecycle.csv_columns import Parse, parser
from lifecycle.csv_files import CsvFile
from lifecycle.csv_values import BadValue
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_NOTHING = timedelta(0)

Values = list["str | None"]


@dataclass(frozen=True)
class ImportSummary:
    """What an import loaded, and what a first replay should look at."""

    # Table -> rows, every table of the contract.
    rows: dict[str, int]
    seconds: float
    newest_at: datetime | None
    # The zone most customers live in.
    timezone: str | None
    shifted_days: int
    # CSV files in the folder that are not part of the contract.
    ignored: tuple[str, ...]


def import_folder(
    folder: Path, *, replace: bool, shift_to_today: bool = False, today: date | None = None
) -> ImportSummary:
    """Load the CSV files of `folder` into the tables `imported.*`, all or nothing.

    With `replace` everything imported before goes; without it the tables must be empty. With `shift_to_today` every
    time (no birthday) moves by the same number of whole days, so that the newest fact falls on the day before `today`
    in UTC.

    Raises:
        LifecycleError: something in the files is wrong; file, line and hint are named and nothing was written.
    """
    started = time.monotonic()
    found = csv_files.find(Path(folder))
    shift = _shift_to(today or datetime.now(timezone.utc).date(), found.files) if shift_to_today else _NOTHING
    with database.transaction() as connection:
        database.require_schema(connection)
        _make_room(connection, replace)
        # What is imported is the user's from here on: the demo never replaces it.
        database.run(connection, "engine/demo/release.sql")
        counts = {file.table.name: _load(connection, file, shift) for file in found.files}
        _refuse_unknown_references(connection, found.files)
        database.run(connection, "engine/import/analyze.sql")
        newest = database.rows(connection, "engine/import/newest_fact.sql")[0]
    return ImportSummary(
        rows={table.name: counts.get(table.name, 0) for table in TABLES},
        seconds=time.monotonic() - started,
        newest_at=newest.newest_at,
        timezone=newest.timezone,
        shifted_days=shift.days,
        ignored=found.ignored,
    )


def _make_room(connection: Connection, replace: bool) -> None:
    database.run(connection, "engine/import/lock.sql")
    if replace:
        database.run(connection, "engine/import/clear.sql")
        return
    filled = [row.table_name for row in database.rows(connection, "engine/import/filled_tables.sql")]
    if filled:
        raise LifecycleError(
            f"There are imported rows already ({', '.join(filled)})", hint="Replace them with --replace"
        )


# Loading


def _load(connection: Connection, file: CsvFile, shift: timedelta) -> int:
    from psycopg import DataError, errors, sql

    columns = [file.table.by_name[name] for name in file.header]
    command = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier("imported", file.table.name),
        sql.SQL(", ").join(sql.Identifier(column.stored_name) for column in columns),
    )
    count = 0
    try:
        with database.driver(connection).cursor() as cursor, cursor.copy(command) as copy:
            for _line, values in _parsed(file, shift):
                copy.write_row(values)
                count += 1
    except errors.UniqueViolation as error:
        raise _duplicate(file, _record_number(error)) from None
    except (DataError, errors.ProgramLimitExceeded) as error:
        raise _refused_by_postgres(file, error) from None
    return count


def _parsed(file: CsvFile, shift: timedelta) -> Iterator[tuple[int, Values]]:
    """The rows as Postgres stores them, each with its line."""
    columns = [file.table.by_name[name] for name in file.header]
    parsers = [parser(column, shift) for column in columns]
    finish = _finisher(file.header)
    for line, row in file.rows():
        try:
            values = [parse(value) for parse, value in zip(parsers, row, strict=True)]
            finish(values)
        except BadValue as bad:
            raise _bad_value(file, line, row, parsers, bad) from None
        yield line, values


def _finisher(header: tuple[str, ...]) -> Callable[[Values], None]:
    """What can only be read once the whole row is known: a national phone number needs the country."""
    if "phone" not in header:
        return lambda _values: None
    phone_at = header.index("phone")
    country_at = header.index("country") if "country" in header else None

    def finish(values: Values) -> None:
        number = values[phone_at]
        if number:
            values[phone_at] = csv_addresses.phone(number, values[country_at] if country_at is not None else None)

    return finish


def _bad_value(file: CsvFile, line: int, row: list[str], parsers: list[Parse], bad: BadValue) -> LifecycleError:
    """The same mistake with its place; a value no column refuses by itself is the phone number."""
    name = "phone"
    for column, parse, value in zip(file.header, parsers, row, strict=True):
        try:
            parse(value)
        except BadValue:
            name = column
            break
    return LifecycleError(f"{name} {bad.what}", file=file.path, line=line, hint=bad.hint)


# Explaining what Postgres refused


def _record_number(error: Any) -> int:
    """The row that Postgres stumbled over, from `COPY orders, line 7`."""
    _, _, number = (error.diag.context or "").partition(", line ")
    digits = number.split(",")[0].split(":")[0].strip()
    return int(digits) if digits.isdigit() else 0


def _duplicate(file: CsvFile, record: int) -> LifecycleError:
    """Both lines of a key that stands twice, found by reading the file up to the second one."""
    places = [file.header.index(name) for name in file.table.key]
    wanted, second = _key_of_record(file, places, record)
    first = next(line for line, values in _parsed(file, _NOTHING) if [values[place] for place in places] == wanted)
    shown = ", ".join(f"{name} {value!r}" for name, value in zip(file.table.key, wanted, strict=True))
    what = f"{shown} stands in line {first} already"
    return LifecycleError(what, file=file.path, line=second, hint="Keep one of the two rows")


def _key_of_record(file: CsvFile, places: list[int], record: int) -> tuple[Values, int]:
    for number, (line, values) in enumerate(_parsed(file, _NOTHING), 1):
        if number == record:
            return [values[place] for place in places], line
    raise LifecycleError("Two rows have the same key", file=file.path, hint="Keep one of them")


def _refused_by_postgres(file: CsvFile, error: Any) -> LifecycleError:
    """A value that passed every check here and that Postgres still does not take."""
    record = _record_number(error)
    line = next((line for number, (line, _row) in enumerate(file.rows(), 1) if number == record), None)
    what = f"Postgres refuses a value: {error.diag.message_primary or error}"
    return LifecycleError(what, file=file.path, line=line, hint="Correct the row")


def _refuse_unknown_references(connection: Connection, files: tuple[CsvFile, ...]) -> None:
    unknown: dict[tuple[str, str], set[str]] = {}
    for row in database.rows(connection, "engine/import/unknown_references.sql"):
        unknown.setdefault((row.table_name, row.column_name), set()).add(row.unknown_value)
    for file in files:
        for column, target in file.table.references:
            if values := unknown.get((file.table.name, column)):
                raise _unknown_reference(file, column, target, values)


def _unknown_reference(file: CsvFile, column: str, target: str, unknown: set[str]) -> LifecycleError:
    place = file.header.index(column)
    line, value = next((line, row[place]) for line, row in file.rows() if row[place] in unknown)
    others = {1: "", 2: " (nor is 1 other)"}.get(len(unknown), f" (nor are {len(unknown) - 1} others)")
    required = file.table.by_name[column].required
    hint = f"Add it to {target}.csv or remove the row" if required else f"Add it to {target}.csv or leave it empty"
    return LifecycleError(f"{column} {value!r} is not in {target}.csv{others}", file=file.path, line=line, hint=hint)


# Moving all times


def _shift_to(today: date, files: tuple[CsvFile, ...]) -> timedelta:
    newest = max((moment for file in files for moment in _facts(file)), default=None)
    if newest is None:
        return _NOTHING
    return today - timedelta(days=1) - newest.astimezone(timezone.utc).date()


def _facts(file: CsvFile) -> Iterator[datetime]:
    """Every time in the file at which something happened."""
    places = [(place, file.table.by_name[name]) for place, name in enumerate(file.header)]
    times = [(place, column) for place, column in places if column.kind == "time" and not column.planned]
    if not times:
        return
    for line, row in file.rows():
        for place, column in times:
            if row[place]:
                yield _fact(file, line, column, row[place])


def _fact(file: CsvFile, line: int, column: Column, value: str) -> datetime:
    try:
        return csv_values.parse_time(value)
    except BadValue as bad:
        raise LifecycleError(f"{column.name} {bad.what}", file=file.path, line=line, hint=bad.hint) from None
