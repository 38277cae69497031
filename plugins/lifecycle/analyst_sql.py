"""SQL files that analysts write: segments, goals, ends and earning rules. Checked before they run, and run as the read-only role.

The contract (architecture §4): one SELECT over `shop.*` and `as_of()`, the required columns by name, never the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import database
from lifecycle.errors import LifecycleError
from lifecycle.journey import unknown_name

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

REQUIRED_COLUMNS = {
    "audience": ("customer_id", "anchor"),
    "goal": ("customer_id", "anchor", "converted_at"),
    "end": ("customer_id", "anchor"),
    "earning": ("fact", "customer_id", "occurred_at", "points"),
    "draw": ("customer_id", "entries"),
    "recommendation": ("customer_id", "anchor", "item_id", "place"),
}

# Those for whom a recommendation file looks, beside the views of `shop`: customer_id, anchor.
AUDIENCE = "audience"

CLOCK = {
    "now", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
    "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday",
}  # fmt: skip
_RANDOM = {"random", "gen_random_uuid", "uuid_generate_v4", "setseed", "random_normal"}
_FORBIDDEN_CALLS = {"set_config", "nextval", "setval", "lastval", "currval", "dblink", "query_to_xml"}
_FORBIDDEN_PREFIXES = ("pg_", "lo_", "dblink_", "txid_")
_STRINGS = {"STRING", "BYTE_STRING", "HEREDOC_STRING", "NATIONAL_STRING", "UNICODE_STRING", "RAW_STRING"}


@dataclass(frozen=True)
class AnalystSql:
    """One file of an analyst. `kind` is audience, goal, end, earning, draw or recommendation and decides which columns it must return.

    `content` holds its bytes when they are not what lies at `path`: those of another revision.
    """

    path: Path
    kind: str = "audience"
    content: bytes | None = None

    def sha(self) -> str:
        """The digest of the file's bytes: two versions of a file have different ones."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def _bytes(self) -> bytes:
        return self.path.read_bytes() if self.content is None else self.content

    def text(self) -> str:
        """The statement without its closing semicolon.

        Raises:
            LifecycleError: the file is missing, empty or not UTF-8.
        """
        try:
            raw = self._bytes()
        except OSError:
            raise self.wrong("The file does not exist", "Create it, or correct the name in the journey") from None
        return _without_end(_decode(raw, self))

    def check(self) -> None:
        """Refuse whatever could write, look at the clock, or see more than the contract.

        Raises:
            LifecycleError: the first rule that is broken, with file, line, column and hint.
        """
        _check_text(self, self.text())

    def checked_columns(self, connection: Connection) -> list[str]:
        """Check the file and ask for its columns; what every use of the file begins with."""
        self.check()
        return self.columns(connection)

    def columns(self, connection: Connection) -> list[str]:
        """The columns the file returns, asked from Postgres without running it.

        Raises:
            LifecycleError: Postgres does not understand it (unknown table, column, type), or a column is missing.
        """
        _check_calls(self, connection)
        wrapped, offset = self._wrapped("columns")
        with database.as_reader(connection):
            cursor = self._execute(connection, wrapped, offset)
        names = [column.name for column in cursor.description or []]
        for name in REQUIRED_COLUMNS[self.kind]:
            if name not in names:
                raise self._missing_column(name, names)
        return names

    def stream(self, connection: Connection, wrapper: str = "") -> Iterator[tuple[Any, ...]]:
        """The rows, in chunks through a server-side cursor, so that memory stays flat whatever the size.

        Shapes: audience (customer_id, anchor, variables as dict), goal (customer_id, anchor, converted_at),
        end (customer_id, anchor), draw (customer_id, entries), recommendation (customer_id, anchor, item_id, place, its
        other columns as JSON text). The reader's role and timeout hold while Postgres works on the file: for opening
        the cursor and for each chunk, so the caller may write between chunks. `wrapper` names another statement of
        `engine/segments` to read the file with.

        Raises:
            LifecycleError: Postgres gave up, or a row lacks a required value.
        """
        wrapped, offset = self._wrapped(wrapper or self.kind)
        with database.as_reader(connection):
            self._execute(connection, f"declare analyst_rows no scroll cursor for {wrapped}", offset, skipped=True)
        while chunk := self._next_chunk(connection):
            yield from chunk
        database.run(connection, "engine/segments/close.sql")

    def insert(self, connection: Connection, wrapper: str, **values: str | int) -> None:
        """Have Postgres keep the rows in a temporary table itself: a million of them need not come here and go back.

        `wrapper` names the INSERT of `engine/segments`, and the values are those it names. The reader may write to no
        other table than a temporary one.

        Raises:
            LifecycleError: Postgres gave up, or a row lacks a required value.
        """
        wrapped, offset = self._wrapped(wrapper, **values)
        with database.as_reader(connection):
            self._execute(connection, wrapped, offset, skipped=True)

    def _next_chunk(self, connection: Connection) -> list[tuple[Any, ...]]:
        fetch = database.statement("engine/segments/fetch.sql").encode()
        with database.as_reader(connection):
            chunk = self._execute(connection, fetch, 0, skipped=True).fetchall()
        for row in chunk:
            for name, value in zip(REQUIRED_COLUMNS[self.kind], row, strict=False):
                if value is None:
                    raise self._lacks(name)
        return chunk

    def answers(self, connection: Connection, query: str) -> list[dict[str, Any]]:
        """The rows of a statement that was made of the file, asked as the reader and within its timeout.

        Raises:
            LifecycleError: Postgres does not understand it, or gave up.
        """
        with database.as_reader(connection):
            cursor = self._execute(connection, query.encode(), 0, skipped=True)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def require_sound(self, connection: Connection, *, most_cost: int) -> int:
        """Prove on the data as of the transaction's `as_of()` what a run will rely on. Returns how many rows there are.

        Raises:
            LifecycleError: Postgres expects a higher cost than `most_cost`, in its own units, or gives up; a row lacks
                its customer or anchor, or one pair of them comes twice; for an earning rule, its fact.
        """
        with database.as_reader(connection):
            ((plan,),) = self._execute(connection, *self._wrapped("explain")).fetchall()
        cost = round(plan[0]["Plan"]["Total Cost"])
        if cost > most_cost:
            hint = "Look only at the days that matter, and use `not exists` instead of max() over everything"
            raise self.wrong(f"Postgres expects a cost of {cost:,}, and the ceiling is {most_cost:,}", hint)
        if self.kind == "recommendation":
            return self._prove_items(connection)
        return self._prove_facts(connection) if self.kind == "earning" else self._prove_people(connection)

    def _prove_items(self, connection: Connection) -> int:
        with database.as_reader(connection):
            ((rows, incomplete, repeated),) = self._execute(connection, *self._wrapped("prove_items")).fetchall()
        if incomplete:
            what = f"{incomplete} of {rows} rows lack customer_id, anchor, item_id or place"
            raise self.wrong(what, "Leave such rows out in the where clause")
        if repeated:
            hint = "Return each item once per customer and anchor: group, or select distinct on (...)"
            raise self.wrong(f"{repeated} of {rows} rows repeat an item", hint)
        return rows

    def _prove_facts(self, connection: Connection) -> int:
        with database.as_reader(connection):
            ((rows, incomplete, repeated),) = self._execute(connection, *self._wrapped("prove_earning")).fetchall()
        if incomplete:
            what = f"{incomplete} of {rows} rows lack fact, customer_id, occurred_at or points"
            raise self.wrong(what, "Leave such rows out in the where clause")
        if repeated:
            hint = "Return each fact once: group, or select distinct on (fact)"
            raise self.wrong(f"{repeated} of {rows} rows repeat a fact", hint)
        return rows

    def _prove_people(self, connection: Connection) -> int:
        with database.as_reader(connection):
            ((rows, nameless, unanchored, repeated),) = self._execute(connection, *self._wrapped("prove")).fetchall()
        for count, name in ((nameless, "customer_id"), (unanchored, "anchor")):
            if count:
                raise self.wrong(f"{count} of {rows} rows have no {name}", "Leave such rows out in the where clause")
        if repeated:
            hint = "Return one row per customer and anchor: group, or select distinct on (customer_id, anchor)"
            raise self.wrong(f"{repeated} of {rows} rows repeat a customer and anchor", hint)
        return rows

    def wrong(self, what: str, hint: str, line: int | None = None, column: int | None = None) -> LifecycleError:
        """An error at a place in this file."""
        return LifecycleError(what, hint=hint, file=self.path, line=line, column=column)

    def _wrapped(self, wrapper: str, **values: str | int) -> tuple[str, int]:
        from psycopg.sql import Literal

        template = database.statement(f"engine/segments/{wrapper}.sql")
        before, after = template.split(":analyst_sql")
        for name, value in values.items():
            before = before.replace(f":{name} ", f"{Literal(value).as_string()} ")
        return before + self.text() + after, len(before)

    def _execute(self, connection: Connection, query: str | bytes, offset: int, skipped: bool = False) -> Any:
        from psycopg import Error

        try:
            if isinstance(query, bytes):
                return database.driver(connection).execute(query)
            # No parameters: `%` in the file stays what it is. And no second statement: binary answers come by the
            # protocol that takes one only, whatever the file closes and begins.
            return database.driver(connection).execute(query.encode(), binary=True)
        except Error as error:
            raise self._said_by_postgres(error, None if skipped else offset) from None

    def _said_by_postgres(self, error: Any, offset: int | None) -> LifecycleError:
        from psycopg.errors import NotNullViolation

        lacking = error.diag.column_name
        if lacking and isinstance(error, NotNullViolation) and lacking in REQUIRED_COLUMNS[self.kind]:
            return self._lacks(lacking)
        position = error.diag.statement_position
        line = column = None
        if position and offset is not None and int(position) > offset:
            before = self.text()[: int(position) - offset - 1]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = error.diag.message_primary or str(error).splitlines()[0]
        hint = error.diag.message_hint or "Mend the statement; lifecycle audience shows what it returns"
        return self.wrong(f"Postgres says: {message}", hint.replace("\n", " "), line, column)

    def _lacks(self, name: str) -> LifecycleError:
        return self.wrong(f"A row has no {name}", "Leave such rows out in the where clause")

    def _missing_column(self, name: str, names: list[str]) -> LifecycleError:
        near = unknown_name("column", name, names).hint
        return self.wrong(f"The column {name} is missing", f"Name it in the select list. {near}")


@lru_cache(maxsize=64)
def _check_text(file: AnalystSql, text: str) -> None:
    """Check once per text: a file is checked at every use, and a replay uses it for hundreds of days."""
    _check_words(file, text)
    _check_statement(file, text)


@lru_cache(maxsize=64)
def _tokens(text: str) -> list[Any]:
    import sqlglot

    return sqlglot.tokenize(text, dialect="postgres")


def _decode(raw: bytes, file: AnalystSql) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw:
        raise file.wrong("The file is UTF-16 or binary", "Save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise file.wrong("The file is not UTF-8", "Save it as UTF-8", line) from None
    return text.replace("\r\n", "\n")


def _without_end(text: str) -> str:
    """The text without what follows its last statement: a semicolon and comments. Lines keep their numbers."""
    from sqlglot.errors import SqlglotError

    try:
        tokens = _tokens(text)
    except SqlglotError:
        return text
    for token in reversed(tokens):
        if token.token_type.name != "SEMICOLON":
            break
        text = text[: token.start]
    return text.rstrip()


def _check_words(file: AnalystSql, text: str) -> None:
    """Rules that a look at the single words can decide."""
    from sqlglot.errors import SqlglotError

    try:
        tokens = _tokens(text)
    except SqlglotError:
        raise file.wrong("A quote or comment is never closed", "Close it") from None
    if not tokens:
        raise file.wrong("The file holds no statement", "Write one SELECT")
    if "{{" in text or "{%" in text:
        line = text[: max(text.find("{{"), text.find("{%"))].count("\n") + 1
        raise file.wrong("Jinja in SQL is not rendered", "Use as_of() and plain SQL", line)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type.name in _STRINGS:
            continue
        is_call = following is not None and following.token_type.name == "L_PAREN"
        # A quoted name is only a name, unless it is called: "set_config"(...) works like set_config(...).
        if token.token_type.name == "IDENTIFIER" and not is_call:
            continue
        problem = _word_problem(token.text.lower(), is_call)
        if problem:
            raise file.wrong(*problem, token.line, token.col - len(token.text) + 1)
    _check_escaped_names(file, tokens)


def _check_escaped_names(file: AnalystSql, tokens: list[Any]) -> None:
    """Refuse U&"...", whose escapes could spell any name."""
    for word, sign, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_escaped = word.text.lower() == "u" and sign.text == "&" and name.token_type.name in ("IDENTIFIER", "STRING")
        if is_escaped and word.end + 1 == sign.start and sign.end + 1 == name.start:
            raise file.wrong('U&"..." hides what it names', "Write the name itself", word.line, word.col)


def _check_calls(file: AnalystSql, connection: Connection) -> None:
    """Refuse every function that Postgres itself calls volatile: it may act, wait, or answer differently each time."""
    tokens = _tokens(file.text())
    called = {
        token.text if token.token_type.name == "IDENTIFIER" else token.text.lower(): token
        for token, following in pairwise(tokens)
        if following.token_type.name == "L_PAREN" and token.token_type.name not in _STRINGS
    }
    for row in database.rows(connection, "engine/segments/volatile_functions.sql", names=sorted(called)):
        token = called[row.name]
        hint = "Read shop.* views and use plain expressions; a function of your own must be declared stable"
        raise file.wrong(f"{row.name}() is volatile", hint, token.line, token.col - len(token.text) + 1)


def _word_problem(word: str, is_call: bool) -> tuple[str, str] | None:
    if word in CLOCK and (is_call or word.startswith(("current_", "local"))):
        return f"{word} reads the clock, so a past day could not be repeated", "Write as_of() instead"
    if not is_call:
        return None
    if word in _RANDOM:
        return f"{word}() answers differently each time", "Order or hash by customer_id instead"
    if word in _FORBIDDEN_CALLS or word.startswith(_FORBIDDEN_PREFIXES):
        return f"{word}() is not for segments", "Read shop.* views and use plain expressions"
    return None


def _check_statement(file: AnalystSql, text: str) -> None:
    """Rules about the statement as a whole."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError

    try:
        parsed = sqlglot.parse(text, dialect="postgres")
    except ParseError as error:
        place = error.errors[0]
        what = f"This is not valid SQL near {place['highlight']!r}"
        raise file.wrong(what, "Mend the statement", place["line"], place["col"]) from None
    # A lone semicolon between comments is no statement.
    statements = [statement for statement in parsed if statement and not isinstance(statement, exp.Semicolon)]
    if len(statements) != 1:
        line = _second_statement_line(text)
        raise file.wrong(f"The file holds {len(statements)} statements", "Keep exactly one SELECT", line)
    statement = statements[0]
    if not isinstance(statement, exp.Query):
        kind = _tokens(text)[0].text.upper()
        raise file.wrong(
            f"The statement is {kind}, not SELECT", "A segment only reads: write one SELECT", _first_line(text)
        )
    _check_nothing_is_left_open(file, statement)
    _check_nothing_writes(file, statement)
    _check_tables(file, statement)
    _check_select_list(file, statement)


def _check_nothing_is_left_open(file: AnalystSql, statement: Any) -> None:
    from sqlglot import exp

    for node in statement.find_all(exp.Placeholder, exp.Parameter):
        what = f"The parameter {node.sql(dialect='postgres')} is never filled"
        raise file.wrong(what, "Write as_of() for the day, and other values as they are", *_place(node.parent))


def _check_nothing_writes(file: AnalystSql, statement: Any) -> None:
    from sqlglot import exp

    for node in statement.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into, exp.Lock, exp.Create):
        raise file.wrong(f"{node.key.upper()} writes or locks", "A segment only reads: write one SELECT", *_place(node))


def _check_tables(file: AnalystSql, statement: Any) -> None:
    from sqlglot import exp

    named = {cte.alias_or_name.lower() for cte in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        if isinstance(table.this, exp.Func) or (not table.db and table.name.lower() in named):
            continue
        if file.kind == "recommendation" and not table.db and table.name.lower() == AUDIENCE:
            continue
        if table.db.lower() != "shop":
            what = f"{table.sql(dialect='postgres', comments=False).split(' AS ')[0]} is not part of the contract"
            raise file.wrong(
                what, f"Read shop.* views only, such as shop.{table.name}", *_place(table.args.get("db") or table)
            )


def _check_select_list(file: AnalystSql, statement: Any) -> None:
    from sqlglot import exp

    for star in statement.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            raise file.wrong("select * hides which columns are used", "Name the columns", *_place(star))
    names = [name.lower() for name in statement.named_selects]
    if "" in names:
        raise file.wrong(f"Column {names.index('') + 1} has no name", "Name it, as in count(*) as orders")
    for name in REQUIRED_COLUMNS[file.kind]:
        if name not in names:
            raise file._missing_column(name, names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise file.wrong(f"The column {repeated[0]} appears twice", "Give every column its own name")


def _place(node: Any) -> tuple[int | None, int | None]:
    """Line and column of a node, from the first of its parts that knows."""
    for part in node.walk():
        if "line" in part.meta:
            return part.meta["line"], max(1, part.meta["col"] - (part.meta["end"] - part.meta["start"]))
    return None, None


def _first_line(text: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.strip().startswith("--"):
            return number
    return 1


def _second_statement_line(text: str) -> int | None:
    for token, following in pairwise(_tokens(text)):
        if token.text == ";":
            return following.line
    return None
