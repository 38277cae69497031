"""Rows as CSV, in a form that no spreadsheet takes for a formula (threat T9)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

# What a spreadsheet runs when a cell begins with it, and what it skips before it looks.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def write(stream: TextIO, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a header and rows, one by one as they come."""
    # A cell with a carriage return is only quoted where a line could end with one.
    writer = csv.writer(_UnixLines(stream), lineterminator="\r\n")
    writer.writerow(map(harmless, columns))
    writer.writerows(map(harmless, row) for row in rows)


class _UnixLines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write one row of a csv writer."""
        self._stream.write(line.removesuffix("\r\n") + "\n")


def harmless(value: Any) -> Any:
    """The value of a cell: a text that begins like a formula gets a quote before it; numbers stay numbers."""
    if isinstance(value, (int, float)) or value is None:
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text
