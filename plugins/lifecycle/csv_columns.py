"""Which function reads which column of the import contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from lifecycle import csv_addresses, csv_values
from lifecycle.contract import Column
from lifecycle.csv_values import CACHED_VALUES, BadValue, shown

Parse = Callable[[str], "str | None"]


def parser(column: Column, shift: timedelta) -> Parse:
    """The function that reads the values of a column; times move by `shift`."""
    read = _reader(column, shift)
    if column.required:
        return _refusing_empty(read)
    return lambda value: read(value) if value else None


def _refusing_empty(read: Parse) -> Parse:
    def required(value: str) -> str | None:
        if not value:
            raise BadValue("is empty", "Every row needs a value here")
        return read(value)

    return required


def _reader(column: Column, shift: timedelta) -> Parse:
    if column.kind == "time":
        return lambda value: csv_values.moved_time(value, shift)
    if column.kind in ("amount", "rate", "integer"):
        return lru_cache(CACHED_VALUES)(_number_reader(column))
    return _READERS[column.kind]


def _number_reader(column: Column) -> Parse:
    read = {"amount": csv_values.cents, "rate": csv_values.rounded_cents, "integer": csv_values.integer}[column.kind]

    def number(value: str) -> str:
        result = read(value)
        if column.minimum is not None and result < column.minimum * _unit(column):
            what = "is negative" if column.minimum == 0 else f"is below {column.minimum}"
            raise BadValue(f"{shown(value)} {what}", f"The smallest value here is {column.minimum}")
        if column.maximum is not None and result > column.maximum:
            raise BadValue(f"{shown(value)} is above {column.maximum}", f"The largest value here is {column.maximum}")
        return str(result)

    return number


def _unit(column: Column) -> int:
    return 1 if column.kind == "integer" else 100


_READERS: dict[str, Parse] = {
    "id": csv_values.identifier,
    "text": csv_values.free_text,
    "date": csv_values.calendar_date,
    "boolean": csv_values.boolean,
    "json_list": csv_values.json_list,
    "json_object": csv_values.json_object,
    "email": csv_addresses.email,
    # The customer's country is needed too, so the import finishes phones once it has the whole row.
    "phone": csv_values.free_text,
    "zone": csv_values.zone,
    "locale": csv_values.locale,
    "currency": csv_values.currency,
}
