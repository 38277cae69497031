"""Every segment, goal and end: given these rows, on this day, exactly these people (cases in YAML beside the tests)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle import database
from tests.sql import journey_cases


def _cases() -> Iterator[Any]:
    for path in journey_cases.files():
        for case in journey_cases.all_cases_of(path):
            yield pytest.param(path, case, id=f"{path.with_suffix('')}: {case['name']}")


@pytest.fixture
def connection(database_url: str) -> Iterator[Any]:
    """A connection whose facts are gone after the test; the file under test sees them because it shares it."""
    with database.transaction() as shared:
        rehearsal = shared.begin_nested()
        yield shared
        rehearsal.rollback()


@pytest.mark.parametrize(("path", "case"), list(_cases()))
def test_given_these_rows_exactly_these_people(connection: Any, path: Path, case: dict[str, Any]) -> None:
    journey_cases.prepare(connection, path.parts[0], case)
    file = journey_cases.file_of(path, case.get("changed"))
    file.checked_columns(connection)
    assert journey_cases.found(connection, file, case) == journey_cases.expected(case)


def test_every_analyst_file_has_cases_of_its_own() -> None:
    cases = {path.relative_to(journey_cases.CASES) for path in journey_cases.CASES.rglob("*.yaml")}
    folder = journey_cases.CASES.parent
    cases |= {path.relative_to(folder) for path in (folder / journey_cases.RECOMMENDATIONS).glob("*.yaml")}
    assert {path.with_suffix(".yaml") for path in journey_cases.files()} == cases


def test_a_case_names_what_it_shows() -> None:
    names = [case.values[1]["name"] for case in _cases()]
    assert all(len(name) > 10 for name in names)
