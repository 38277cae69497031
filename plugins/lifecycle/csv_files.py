"""The files of an import folder: which there are, their header, and their rows one by one with line numbers."""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from lifecycle.contract import TABLES, Table
from lifecycle.errors import LifecycleError

_CSV_NAME = re.compile(r"(.+)\.csv(\.gz)?", re.IGNORECASE)
_BYTE_ORDER_MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_LOOKED_AT = 4096


@dataclass(frozen=True)
class CsvFile:
    """A file of the import folder and the table its rows belong to."""

    table: Table
    path: Path
    header: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Its rows, each with the line it starts on. Reads one row at a time, whatever the size of the file."""
        reader = csv.reader(_lines(self.path), strict=True)
        width = len(self.header)
        line = 1
        try:
            next(reader)
            line = reader.line_num + 1
            for row in reader:
                if len(row) == width:
                    yield line, row
                elif row:
                    raise self._ragged(row, line, reader.line_num)
                line = reader.line_num + 1
        except csv.Error as error:
            raise _broken(self.path, line, reader.line_num, str(error)) from None

    def _ragged(self, row: list[str], first: int, last: int) -> LifecycleError:
        what = f"The row has {_fields(len(row))}, the header has {len(self.header)}"
        if last > first:
            hint = f"It runs to line {last}: perhaps a quote opened in line {first} is closed too late"
        elif len(row) > len(self.header):
            hint = "Put double quotes around a value that holds a comma"
        else:
            hint = "Write an empty value as two commas in a row"
        return LifecycleError(what, file=self.path, line=first, hint=hint)


@dataclass(frozen=True)
class Folder:
    """What an import folder holds: the files of the contract, in loading order, and what was left alone."""

    files: tuple[CsvFile, ...]
    ignored: tuple[str, ...] = field(default=())


def find(folder: Path) -> Folder:
    """The files of the contract in `folder`, with their headers checked.

    Raises:
        LifecycleError: a required file is missing, a name is close to a known one but not it, or a header is wrong.
    """
    if not folder.is_dir():
        raise LifecycleError(
            "No such folder", file=folder, hint="Give the folder that holds customers.csv and orders.csv"
        )
    present = sorted(path for path in folder.iterdir() if path.is_file())
    paths = _by_table(folder, present)
    ignored = tuple(path.name for path in present if path not in paths.values() and _CSV_NAME.fullmatch(path.name))
    _refuse_misspelt(folder, ignored, paths)
    _refuse_missing(folder, present, paths)
    return Folder(tuple(opened(table, paths[table.name]) for table in TABLES if table.name in paths), ignored)


def _by_table(folder: Path, present: list[Path]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    names = {path.name: path for path in present}
    for table in TABLES:
        found = [names[name] for name in (table.file_name, f"{table.file_name}.gz") if name in names]
        if len(found) > 1:
            hint = "Remove one of them"
            raise LifecycleError(f"There are both {found[0].name} and {found[1].name}", file=folder, hint=hint)
        if found:
            paths[table.name] = found[0]
    return paths


def _refuse_misspelt(folder: Path, ignored: tuple[str, ...], paths: dict[str, Path]) -> None:
    for name in ignored:
        match = _CSV_NAME.fullmatch(name)
        close = _close(match[1], [table.name for table in TABLES]) if match else None
        if close:
            hint = f"Rename it to {close}.csv" if close not in paths else f"Remove it; there is {close}.csv already"
            raise LifecycleError("Unknown file", file=folder / name, hint=hint)


def _refuse_missing(folder: Path, present: list[Path], paths: dict[str, Path]) -> None:
    for table in TABLES:
        if table.required and table.name not in paths:
            close = [path.name for path in present if path.name.lower().startswith(table.name)]
            hint = f"Export {close[0]} as CSV in UTF-8" if close else "customers.csv and orders.csv are required"
            raise LifecycleError(f"There is no {table.file_name}", file=folder, hint=hint)


def _close(name: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(name.strip().lower().replace(" ", "_"), known, 1, 0.72)
    return close[0] if close else None


# The header


def opened(table: Table, path: Path) -> CsvFile:
    """One file of a table, with its header checked.

    Raises:
        LifecycleError: the header is wrong, or the file is no CSV in UTF-8.
    """
    header = _header(path)
    _check_header(table, path, header)
    return CsvFile(table, path, tuple(header))


def _header(path: Path) -> list[str]:
    lines = _lines(path)
    reader = csv.reader(lines, strict=True)
    try:
        return next(reader)
    except StopIteration:
        raise LifecycleError("The file is empty", file=path, hint="Write the header row at least") from None
    except csv.Error as error:
        raise _broken(path, 1, reader.line_num, str(error)) from None
    finally:
        lines.close()


def _check_header(table: Table, path: Path, header: list[str]) -> None:
    _refuse_delimiter(path, header)
    known = [column.name for column in table.columns]
    unknown = [name for name in header if name not in known]
    missing = [column.name for column in table.columns if column.required and column.name not in header]
    for number, name in enumerate(header, 1):
        if name in header[: number - 1]:
            raise _header_error(path, f"Column {name!r} stands twice in the header", "Remove one of them")
    if missing:
        raise _header_error(path, f"Column {missing[0]!r} is missing", _missing_hint(missing[0], unknown, header))
    if unknown:
        raise _header_error(path, f"Unknown column {unknown[0]!r}", _unknown_hint(unknown[0], known, header))


def _header_error(path: Path, what: str, hint: str) -> LifecycleError:
    return LifecycleError(what, file=path, line=1, hint=hint)


def _refuse_delimiter(path: Path, header: list[str]) -> None:
    if len(header) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in header[0]:
                raise _header_error(path, f"Columns are separated by {name}", "Export the file with commas")


def _missing_hint(name: str, unknown: list[str], header: list[str]) -> str:
    renamed = {word.strip().lower().replace(" ", "_"): word for word in unknown}
    close = difflib.get_close_matches(name, renamed, 1, 0.5)
    if close:
        return f"Rename {renamed[close[0]]!r} to {name!r}"
    return f"The header has: {', '.join(header)}"[:200]


def _unknown_hint(name: str, known: list[str], header: list[str]) -> str:
    free = [word for word in known if word not in header]
    close = _close(name, free) or next((word for word in free if len(word) > 3 and word in name.lower()), None)
    if close:
        return f"Rename it to {close!r}"
    return "Remove it: what the contract does not know would be lost unnoticed"


# Lines


def _lines(path: Path) -> Generator[str, None, None]:
    """The lines of a file as text, refusing what no CSV in UTF-8 holds."""
    try:
        _refuse_other_encodings(path)
        with _text(path) as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line:
                    hint = "Export the file again as plain UTF-8 text"
                    raise LifecycleError("A NUL byte", file=path, line=number, hint=hint)
                yield line
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LifecycleError(f"Not a whole gzip file: {error}", file=path, hint="Compress it again") from None
    except OSError as error:
        raise LifecycleError(f"Cannot be read: {error.strerror}", file=path, hint="Check its permissions") from None


def _text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _bytes(path: Path) -> IO[bytes]:
    # Every caller closes it with `with`.
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _refuse_other_encodings(path: Path) -> None:
    with _bytes(path) as stream:
        head = stream.read(_LOOKED_AT)
    guess = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "")
    # Every second byte of Western text in UTF-16 is NUL, mark or no mark.
    if not guess and len(head) > 7 and (not any(head[0:8:2]) or not any(head[1:8:2])):
        guess = "UTF-16"
    if guess:
        raise LifecycleError(f"The file is {guess}, not UTF-8", file=path, line=1, hint="Export it as CSV UTF-8")


def _not_utf8(path: Path) -> LifecycleError:
    with _bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                guess, seen = _guess(line)
                what = f"Byte 0x{line[error.start]:02x} is not UTF-8; read as {guess} the line holds {seen!r}"
                return LifecycleError(what, file=path, line=number, hint="Export it as CSV UTF-8")
    return LifecycleError("The file is not UTF-8", file=path, hint="Export it as CSV UTF-8")


def _guess(line: bytes) -> tuple[str, str]:
    """The encoding a line was probably written in, and the words in it that show so."""
    for encoding, name, script in (
        ("cp932", "Shift_JIS", "[぀-ヿ一-鿿]{2}"),
        ("utf-8", "UTF-8", "$^"),
        ("cp1252", "Windows-1252", "."),
        ("latin-1", "Latin-1", "."),
    ):
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError:
            continue
        if re.search(script, text):
            return name, _first_foreign_word(text)
    return "Latin-1", ""


def _first_foreign_word(text: str) -> str:
    match = re.search(r"\w*[^\x00-\x7f]+\w*", text)
    return match[0][:30] if match else ""


# What csv says, in words that help


def _broken(path: Path, first: int, last: int, message: str) -> LifecycleError:
    if "expected after" in message and first == last:
        hint = 'Double every quote inside a quoted value: "5"" nail"'
        return LifecycleError("A quote inside a quoted value is not doubled", file=path, line=first, hint=hint)
    opened = _quote_line(path, first)
    if opened is None and "field limit" in message:
        what = f"A value is longer than {csv.field_size_limit():,} characters"
        return LifecycleError(what, file=path, line=first, hint="Shorten it")
    if opened is None:
        return LifecycleError(f"Not CSV: {message}", file=path, line=first, hint="Export the file again")
    hint = 'Close it; a quote inside a quoted value is written twice: "5"" nail"'
    return LifecycleError("The quote opened here is never closed", file=path, line=opened, hint=hint)


def _quote_line(path: Path, first: int) -> int | None:
    """The line that opened the quote which the row starting at `first` stumbles over."""
    opened: int | None = None
    for number, line in enumerate(_lines(path), 1):
        if number < first:
            continue
        opened, broken = _follow_quotes(line, number, opened)
        if broken or opened is None:
            return broken
    return opened


def _follow_quotes(line: str, number: int, opened: int | None) -> tuple[int | None, int | None]:
    """Walk one line: the line of the quote still open at its end, and that of one closed in the wrong place."""
    at_start, index = True, 0
    while index < len(line):
        character, following = line[index], line[index + 1 : index + 2]
        if opened is not None and character == '"':
            if following == '"':
                index += 1
            elif following and following not in ",\r\n":
                return None, opened
            else:
                opened = None
        elif opened is None and character == '"' and at_start:
            opened = number
        at_start = opened is None and character == ","
        index += 1
    return opened, None


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
