"""Recommendations: what else a person may like, and what others say, as SQL files that look for a whole audience at once.

A file (`include/sql/recommendations/*.sql`) is one SELECT over `shop.*` and `audience`, the people of a step with their
anchors. It returns what it found for whom, and at which place; the engine keeps the first few and hands them to the
template as a list (C-03, C-04).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from lifecycle import database
from lifecycle.analyst_sql import REQUIRED_COLUMNS, AnalystSql

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Step

ENOUGH = 3
"""How many items a list has at most."""

# A person as the segment gives them: customer, anchor, variables.
Person = tuple[str, str, dict[str, Any]]


def files_of(step: Step) -> dict[str, list[AnalystSql]]:
    """The files of each list of a step, in the order they are asked."""
    return {name: [AnalystSql(path, "recommendation") for path in paths] for name, paths in step.lists.items()}


def check(connection: Connection, step: Step) -> dict[str, set[str]]:
    """Check the files of a step against the contract; returns what a template may print of the items of each list.

    Raises:
        LifecycleError: the first rule that is broken, with file, line and hint.
    """
    if not step.lists:
        return {}
    with _tables(connection):
        return {name: _printable(connection, files) for name, files in files_of(step).items()}


def _printable(connection: Connection, files: list[AnalystSql]) -> set[str]:
    """The columns that every file of a list gives: an item may come from any of them."""
    given = [set(file.checked_columns(connection)) for file in files]
    return set.intersection(*given) - set(REQUIRED_COLUMNS["recommendation"])


def prove(connection: Connection, step: Step, people: Iterable[Person], *, most_cost: int) -> None:
    """Prove the files of a step for people, on the data as of the transaction's `as_of()`.

    Raises:
        LifecycleError: a file costs too much, or returns rows that a run could not use.
    """
    with _tables(connection):
        _keep_people(connection, people)
        for name, files in files_of(step).items():
            _fill_audience(connection, name)
            for file in files:
                file.require_sound(connection, most_cost=most_cost)


def listed(connection: Connection, step: Step, people: Iterable[Person]) -> Iterator[Person]:
    """The same people, with the lists of a step among their variables; a list may be empty.

    Files are asked in their order, each for those who have not enough yet, and never for one person alone.

    Raises:
        LifecycleError: Postgres gave up on a file, or a row lacks a required value.
    """
    with _tables(connection):
        _keep_people(connection, people)
        for name, files in files_of(step).items():
            for number, file in enumerate(files):
                _fill_audience(connection, name)
                file.insert(connection, "first_items", list=name, file_number=number)
        empty_lists = json.dumps({name: [] for name in step.lists})
        for row in database.stream(
            connection, "engine/recommendations/listed.sql", most=ENOUGH, empty_lists=empty_lists
        ):
            yield row.customer_id, row.anchor, row.variables


@contextmanager
def _tables(connection: Connection) -> Iterator[None]:
    database.run(connection, "engine/recommendations/begin.sql")
    database.run(connection, "engine/recommendations/create_people.sql")
    database.run(connection, "engine/recommendations/create_items.sql")
    database.run(connection, "engine/recommendations/grant_items.sql")
    database.run(connection, "engine/recommendations/create_audience.sql")
    database.run(connection, "engine/recommendations/grant_audience.sql")
    yield
    database.run(connection, "engine/recommendations/drop.sql")
    database.run(connection, "engine/recommendations/end.sql")


def _keep_people(connection: Connection, people: Iterable[Person]) -> None:
    numbered = ((number, *person[:2], json.dumps(person[2])) for number, person in enumerate(people))
    columns = ("number", "customer_id", "anchor", "variables")
    # Whole chunks, because COPY and the cursor of the segment share one connection and must take turns.
    while chunk := list(islice(numbered, 5_000)):
        database.copy_rows(connection, "pg_temp.picked_people", columns, chunk)


def _fill_audience(connection: Connection, name: str) -> None:
    database.run(connection, "engine/recommendations/fill_audience.sql", list=name, most=ENOUGH)
    database.run(connection, "engine/recommendations/analyze_audience.sql")
