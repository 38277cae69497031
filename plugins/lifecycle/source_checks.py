"""Source checks: the company's mapping, file by file, against the contract, before a journey relies on it.

What a file gives is asked of a temporary view made of it, so that a mistake is found before `lifecycle db migrate`
installs the file. What is said of data are counts: no value of a row leaves the database. The work is bounded, whatever
the size of a table: some rows are examined, and which they were is said.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import contract, database, settings
from lifecycle.analyst_sql import CLOCK, AnalystSql
from lifecycle.contract import Column, Table
from lifecycle.errors import LifecycleError, shown_path

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# How many rows of a source are examined, and how many of the references among them.
SAMPLE = 10_000
SAMPLED_REFERENCES = 1_000
# The newest rows are taken when Postgres expects no more than this of finding them, in its own units; else the first.
MOST_COST = 20_000
# A question that takes longer stays open, and is listed.
TIMEOUT = "3s"
# So many rows that are all known from one instant were stamped by a loader.
STAMPED_FROM = 100
_TOO_SLOW = "57014"


class Form(NamedTuple):
    """How the values of a kind are stored: a pattern, in words, and whether other values only cost a message."""

    pattern: str
    meaning: str
    is_lenient: bool = False


def _zone_pattern() -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(zoneinfo.available_timezones()))})$"


FORMS: dict[str, Form] = {
    "id": Form(r"^\S(.*\S)?$", "text without spaces around it"),
    "time": Form(r"^(19|20|21)\d\d-", "a time of the years 1900 to 2199"),
    "date": Form(r"^(19|20|21)\d\d-", "a day of the years 1900 to 2199"),
    "json_list": Form(r"^\[", "a JSON list"),
    "json_object": Form(r"^\{", "a JSON object"),
    "currency": Form(r"^[A-Z]{3}$", "three capital letters such as GBP"),
    "email": Form(r"^[^@\s<>,;]+@[^@\s<>,;]+$", "one bare address", is_lenient=True),
    "phone": Form(r"^\+[1-9]\d{6,14}$", "E.164 such as +447700900123", is_lenient=True),
    "locale": Form(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", "BCP 47 such as en or pt-BR", is_lenient=True),
    "zone": Form(_zone_pattern(), "an IANA name such as Europe/London", is_lenient=True),
}

_SAME_TYPE = {"character varying": "text"}


@dataclass
class Proof:
    """What was found out about the file of a source; `examined` says on which rows, and is empty when none were."""

    file: str
    examined: str = ""
    problems: list[LifecycleError] = field(default_factory=list)
    warnings: list[LifecycleError] = field(default_factory=list)


@dataclass(frozen=True)
class _Rule:
    """One question to every row that is examined."""

    column: Column
    is_required: bool = False
    pattern: str | None = None
    least: int | None = None
    most: int | None = None


def proofs() -> list[Proof]:
    """Prove the file of every source of the contract. Nothing is written, and what is installed stays as it is.

    Raises:
        LifecycleError: the database is away or was never migrated.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
    return [_proof(Mapping(table)) for table in contract.TABLES]


def _proof(mapping: Mapping) -> Proof:
    proof = Proof(shown_path(mapping.file.path))
    try:
        # A transaction each: Postgres ends the one in which a statement was refused.
        with database.transaction() as connection:
            _prove(connection, mapping, proof)
            connection.rollback()
    except LifecycleError as error:
        proof.problems.append(error)
    return proof


def _prove(connection: Connection, mapping: Mapping, proof: Proof) -> None:
    mapping.create(connection)
    proof.problems += _shape_problems(mapping, _columns(connection))
    if proof.problems:
        return
    proof.problems += _installation_problems(connection, mapping)
    database.run(connection, "engine/source_checks/limit.sql", timeout=TIMEOUT)
    _Examination(connection, mapping, proof).examine()


class Mapping:
    """The file that maps one source."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.file = AnalystSql(settings.sql_folder() / "sources" / f"{table.name}.sql")

    @cached_property
    def text(self) -> str:
        """The statement.

        Raises:
            LifecycleError: the file is missing or not UTF-8.
        """
        if not self.file.path.is_file():
            hint = "Map your table; if you have none, give the columns of the contract `where false`"
            raise self.file.wrong(f"The source {self.table.name} has no file", hint)
        return self.file.text()

    @cached_property
    def tokens(self) -> list[Any]:
        """The words of the file.

        Raises:
            LifecycleError: a quote or comment is never closed.
        """
        import sqlglot
        from sqlglot.errors import SqlglotError

        try:
            return sqlglot.tokenize(self.text, dialect="postgres")
        except SqlglotError:
            raise self.file.wrong("A quote or comment is never closed", "Close it") from None

    def create(self, connection: Connection) -> None:
        """Make the temporary view that everything is asked of.

        Raises:
            LifecycleError: the file is no mapping, or Postgres refuses it.
        """
        from psycopg import Error

        start = self._start_of_mapping()
        self._check_clock()
        before, after = database.statement("engine/source_checks/view.sql").split(":mapping")
        try:
            database.driver(connection).execute((before + self.text[start:] + after).encode())
        except Error as error:
            place = self._place_said(error, start - len(before))
            what = f"Postgres says: {error.diag.message_primary or error}"
            raise self.file.wrong(what, error.diag.message_hint or "Mend the statement", *place) from None
        database.complete_view(connection, "pg_temp", "mapped", self.table.name)

    def place_of(self, name: str) -> tuple[int | None, int | None]:
        """Line and column of a column in the select list; of the list itself when it is not there."""
        start, *names = self._select_list() or [None]
        token = next((token for token in names if token and token.text.lower() == name), start)
        return _place(token) if token else (None, None)

    def _start_of_mapping(self) -> int:
        """Where the part after the view's name begins."""
        words = [token.text.lower() for token in self.tokens]
        opening = ["create", "or", "replace", "view"] if words[1:3] == ["or", "replace"] else ["create", "view"]
        name = len(opening)
        if words[: name + 3] != [*opening, "source", ".", self.table.name]:
            view = f"source.{self.table.name}"
            line = self.tokens[0].line if self.tokens else None
            raise self.file.wrong(
                f"The file does not make the view {view}", f"Begin it with: create or replace view {view} as", line
            )
        for token, following in zip(self.tokens, self.tokens[1:], strict=False):
            if token.token_type.name == "SEMICOLON":
                raise self.file.wrong("The file holds a second statement", "Keep one", *_place(following))
        return self.tokens[name + 2].end + 1

    def _check_clock(self) -> None:
        for token, following in zip(self.tokens, self.tokens[1:], strict=False):
            word = token.text.lower()
            is_call = following.token_type.name == "L_PAREN"
            if token.token_type.name in ("STRING", "IDENTIFIER"):
                continue
            if word in CLOCK and (is_call or word.startswith(("current_", "local"))):
                what = f"{word} reads the clock, so a row would be known from another time at each look"
                raise self.file.wrong(what, "Take a time that the row itself holds", *_place(token))
            if word == "as_of" and is_call:
                what = "A mapping gives all rows; the views of shop.* hide what is later than as_of()"
                raise self.file.wrong(what, "Leave the condition out", *_place(token))

    def _place_said(self, error: Any, shift: int) -> tuple[int | None, int | None]:
        position = error.diag.statement_position
        if not position:
            return None, None
        before = self.text[: max(0, int(position) - 1 + shift)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def _select_list(self) -> list[Any]:
        """The token `select` of the outermost query, then the last token of each of its columns."""
        found: list[Any] = []
        depth = 0
        last = None
        for token in self.tokens:
            kind = token.token_type.name
            depth += (kind == "L_PAREN") - (kind == "R_PAREN")
            is_outermost = depth == 0 and kind != "R_PAREN"
            if found and is_outermost and kind in ("COMMA", "FROM", "WHERE", "UNION"):
                found.append(last)
                if kind != "COMMA":
                    return found
            if not found and is_outermost and kind == "SELECT":
                found.append(token)
            last = token
        return [*found, last] if found else found


def _place(token: Any) -> tuple[int, int]:
    return token.line, token.col - len(token.text) + 1


def _columns(connection: Connection) -> dict[str, str]:
    return {row.name: row.type_name for row in database.rows(connection, "engine/source_checks/columns.sql")}


def _shape_problems(mapping: Mapping, found: dict[str, str]) -> Iterator[LifecycleError]:
    """What is wrong with the columns. More columns than the contract has are nobody's business but the company's."""
    table = mapping.table
    more = sorted(set(found) - {column.stored_name for column in table.columns})
    for column in table.columns:
        name = column.stored_name
        place = mapping.place_of(name)
        if name not in found:
            yield mapping.file.wrong(_missing(table, column), _missing_hint(column, more), *place)
        elif _SAME_TYPE.get(found[name], found[name]) != column.sql_type:
            what = f"The column {name} is {found[name]}, not {column.sql_type}"
            yield mapping.file.wrong(what, _type_hint(column, found[name]), *place)


def _missing(table: Table, column: Column) -> str:
    if column.stored_name == table.known_from:
        return f"There is no time of knowledge: the column {column.stored_name} is missing"
    return f"The column {column.stored_name} is missing"


def _missing_hint(column: Column, more: list[str]) -> str:
    near = difflib.get_close_matches(column.stored_name, more, n=1)
    if near:
        return f"Did you mean it by {near[0]!r}"
    if column.required:
        return f"Every row must have one, as {column.sql_type}"
    return f"If your tables have none: cast(null as {_short(column.sql_type)}) as {column.stored_name}"


def _type_hint(column: Column, found: str) -> str:
    name, wanted = column.stored_name, _short(column.sql_type)
    if wanted == "timestamptz" and found == "timestamp without time zone":
        return f"Say which clock that was: {name} at time zone 'Europe/London'"
    if wanted == "timestamptz" and found == "date":
        return f"A day is known at its end: (day + time '23:59:59') at time zone 'Europe/London' as {name}"
    if column.kind in ("amount", "rate") and found != "integer":
        return f"Money is in hundredths: cast(round(cast(amount as numeric) * 100) as bigint) as {name}"
    if wanted == "boolean":
        return f"Write a condition, such as stock > 0 as {name}"
    if wanted == "text" and found == "character":
        return f"Remove the padding: cast(btrim({name}) as text) as {name}"
    return f"Cast it: cast(... as {wanted}) as {name}"


def _short(type_name: str) -> str:
    return "timestamptz" if type_name == "timestamp with time zone" else type_name


def _installation_problems(connection: Connection, mapping: Mapping) -> Iterator[LifecycleError]:
    installed = database.rows(connection, "engine/source_checks/installed.sql", name=mapping.table.name)
    if not installed:
        yield mapping.file.wrong(f"The view source.{mapping.table.name} is not installed", "Run: lifecycle db migrate")
    elif not installed[0].is_same:
        what = f"The database still has another source.{mapping.table.name} than this file makes"
        yield mapping.file.wrong(what, "Run: lifecycle db migrate")


class _Examination:
    """The look at some rows of a mapping."""

    def __init__(self, connection: Connection, mapping: Mapping, proof: Proof) -> None:
        self.connection = connection
        self.mapping = mapping
        self.table = mapping.table
        self.proof = proof
        self.total = 0

    def examine(self) -> None:
        """Ask everything; what takes too long is listed and left open."""
        is_newest = self._is_newest_cheap()
        self.newest = f"mapped.{self.table.known_from}" if is_newest else "cast(null as integer)"
        if all(self._is_in_time(ask, "It is") for ask in (self._ask_values, self._ask_keys, self._ask_instants)):
            self.proof.examined = self._said(is_newest)
            self._is_in_time(self._ask_references, "Its references are")

    def _is_in_time(self, ask: Callable[[], None], subject: str) -> bool:
        from sqlalchemy.exc import DBAPIError

        try:
            with self.connection.begin_nested():
                ask()
        except DBAPIError as error:
            diag: Any = getattr(error.orig, "diag", None)
            if diag is None or error.connection_invalidated:
                raise
            if diag.sqlstate == _TOO_SLOW:
                hint = "Give your tables the indexes that docs/how-to/map-your-tables.md names"
                self._warn(f"{subject} not proven: Postgres needs more than {TIMEOUT} for {SAMPLE:,} rows", hint)
                return False
            # A message about data quotes the value, which may be a person's.
            said = re.sub(r'".*"', "a value", diag.message_primary or "") if diag.sqlstate[:2] == "22" else ""
            what = f"Postgres cannot read every row: {said or diag.message_primary}"
            self.proof.problems.append(self.mapping.file.wrong(what, "Mend the expression, or leave such rows out"))
            return False
        return True

    def _ask_values(self) -> None:
        rules = list(_rules(self.table))
        counted = self._answers(
            "engine/source_checks/values.sql",
            names=[rule.column.stored_name for rule in rules],
            required=[rule.is_required for rule in rules],
            patterns=[rule.pattern for rule in rules],
            least=[rule.least for rule in rules],
            most=[rule.most for rule in rules],
        )
        for row in counted:
            self.total = row.examined
            if row.broken:
                self._report(rules[row.number - 1], row.broken)

    def _report(self, rule: _Rule, count: int) -> None:
        name = rule.column.stored_name
        rows = f"{count:,} of {self.total:,} rows have"
        form = FORMS.get(rule.column.kind)
        if rule.is_required and name == self.table.known_from:
            hint = "Take the time at which the row was written, or leave such rows out"
            self._fail(f"{rows} no time of knowledge: {name} is null, so nobody would ever see them", hint, name)
        elif rule.is_required:
            self._fail(f"{rows} no {name}", "Give them one, or leave such rows out", name)
        elif not rule.pattern:
            allowed = f"{rule.least} to {rule.most}" if rule.most is not None else f"{rule.least} or more"
            self._fail(f"{rows} a {name} that is not {allowed}", "Mend the expression, or leave such rows out", name)
        elif form and form.is_lenient:
            self._warn(f"{rows} a {name} that is not {form.meaning}", "Bring it into that form, or give null", name)
        elif form:
            self._fail(f"{rows} a {name} that is not {form.meaning}", "Bring it into that form", name)

    def _ask_keys(self) -> None:
        if not self.table.key:
            return
        (row,) = self._answers("engine/source_checks/repeated.sql", key=", ".join(self.table.key))
        if row.repeated:
            key = " and ".join(self.table.key)
            what = f"{row.repeated:,} of {self.total:,} rows repeat a key: {key} must be unique"
            hint = "A join that finds several rows does this: sum or choose in a lateral subquery"
            self._fail(what, hint, self.table.key[0])

    def _ask_instants(self) -> None:
        name = self.table.known_from
        if not name or self.table.by_name[name].planned:
            return
        (row,) = self._answers("engine/source_checks/instants.sql", known_from=name)
        if row.in_future:
            what = f"{row.in_future:,} of {self.total:,} rows have a {name} in the future"
            self._warn(what, "They stay hidden until then; a plan is no time of knowledge", name)
        if row.instants == 1 and self.total >= STAMPED_FROM:
            what = f"All {self.total:,} rows examined have the same {name}, as if a loader had stamped them"
            self._warn(what, "Take the time at which it happened in the shop", name)

    def _ask_references(self) -> None:
        for name, target in self.table.references:
            (key,) = next(table.key for table in contract.TABLES if table.name == target)
            (row,) = self._answers(
                "engine/source_checks/orphans.sql",
                column=name,
                target=f"source.{target}",
                key=key,
                sample=str(SAMPLED_REFERENCES),
            )
            if row.unknown:
                what = f"{row.unknown:,} of {row.named:,} values of {name} examined are not in source.{target}"
                self._warn(what, "Leave such rows out, or map what is missing", name)

    def _answers(self, path: str, sample: str = str(SAMPLE), **values: Any) -> list[Any]:
        """Names cannot be parameters; these are of our own contract."""
        from sqlalchemy import text

        asked = database.statement(path).replace(":newest", self.newest)
        asked = asked.replace(":sample", sample)
        for name in [name for name, value in values.items() if isinstance(value, str)]:
            asked = re.sub(rf":{name}\b", values.pop(name), asked)
        return list(self.connection.execute(text(asked), values))

    def _is_newest_cheap(self) -> bool:
        if not self.table.known_from:
            return False
        self.newest = ""
        (plans,) = self._answers("engine/source_checks/cost.sql", known_from=self.table.known_from)[0]
        return plans[0]["Plan"]["Total Cost"] <= MOST_COST

    def _said(self, is_newest: bool) -> str:
        if self.total < SAMPLE:
            return f"all {self.total:,} rows" if self.total else "no rows"
        from sqlalchemy import text

        asked = database.statement("engine/sources/estimate.sql").replace(":source", "pg_temp.mapped")
        (plans,) = self.connection.execute(text(asked)).one()
        return (
            f"the {'newest' if is_newest else 'first'} {self.total:,} of about {plans[0]['Plan']['Plan Rows']:,} rows"
        )

    def _fail(self, what: str, hint: str, name: str) -> None:
        self.proof.problems.append(self.mapping.file.wrong(what, hint, *self.mapping.place_of(name)))

    def _warn(self, what: str, hint: str, name: str = "") -> None:
        place = self.mapping.place_of(name) if name else (None, None)
        self.proof.warnings.append(self.mapping.file.wrong(what, hint, *place))


def _rules(table: Table) -> Iterator[_Rule]:
    for column in table.columns:
        form = FORMS.get(column.kind)
        if column.required:
            yield _Rule(column, is_required=True)
        if form:
            yield _Rule(column, pattern=form.pattern)
        if column.minimum is not None:
            yield _Rule(column, least=column.minimum, most=column.maximum)
