"""No mistake goes unnoticed: whatever is changed in a segment, goal or end, one of the file's own cases fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError
from tests.sql import journey_cases
from tests.sql.mutants import mutants

pytestmark = pytest.mark.usefixtures("database_url")

# The one place where a change may be excused, with the reason.
EQUIVALENT = yaml.safe_load((Path(__file__).parent / "equivalent_mutants.yaml").read_text(encoding="utf-8"))


def survivors(file: AnalystSql, cases: list[dict[str, Any]], folder: Path) -> list[str]:
    """The changes to a file that none of these cases notices and one could; mutants are written to the folder."""
    alive = mutants(file.text())
    tried = AnalystSql(folder / file.path.name, file.kind)
    with database.transaction() as connection:
        for case in cases:
            given = connection.begin_nested()
            journey_cases.prepare(connection, file.path.parent.name, case)
            alive = [mutant for mutant in alive if _passes(connection, tried, mutant.sql, case)]
            given.rollback()
    return sorted({mutant.change for mutant in alive} - _excused("any file"))


def _excused(file: str) -> set[str]:
    return {listed["change"] for listed in EQUIVALENT.get(file, [])}


def _passes(connection: Any, file: AnalystSql, mutant: str, case: dict[str, Any]) -> bool:
    """Whether the mutant returns what the case expects, in a transaction of its own."""
    file.path.write_text(mutant, encoding="utf-8")
    attempt = connection.begin_nested()
    try:
        return journey_cases.found(connection, file, case) == journey_cases.expected(case)
    except LifecycleError:
        return False
    finally:
        attempt.rollback()


@pytest.mark.parametrize("path", journey_cases.files(), ids=str)
def test_every_change_is_noticed_by_a_case_of_the_same_file(path: Path, tmp_path: Path) -> None:
    file = journey_cases.file_of(path)
    unnoticed = set(survivors(file, journey_cases.cases_of(path), tmp_path))
    excused = _excused(str(path))
    assert not unnoticed - excused, f"add cases to {journey_cases.case_file(path)} that fail after these"
    assert not excused - unnoticed, "take these out of tests/sql/equivalent_mutants.yaml"


def test_every_excuse_has_its_reason() -> None:
    assert set(EQUIVALENT) <= {"any file", *map(str, journey_cases.files())}
    assert all(len(listed["reason"]) > 20 for excused in EQUIVALENT.values() for listed in excused)


def test_a_file_with_too_few_cases_is_found_out(tmp_path: Path) -> None:
    path = Path("reactivation/silent_30_days.sql")
    seen = "activities.occurred_at >= as_of() - INTERVAL"
    found = survivors(AnalystSql(journey_cases.SQL / path), journey_cases.cases_of(path)[:1], tmp_path)
    assert f"{seen} '30 DAYS' -> {seen} '31 DAYS'" in found


def test_every_kind_of_mistake_is_made() -> None:
    text = (
        "select distinct a.customer_id, min(a.at) as anchor from shop.a as a join shop.b as b on a.k = b.k and b.v > 2 "
        "where a.at < as_of() - interval '30 days' and (a.x or not exists (select 1 from shop.c as c where c.k = a.k)) "
        "group by a.customer_id order by a.customer_id limit 5"
    )
    seen = "a.at < as_of() - INTERVAL"
    exists = "NOT EXISTS(SELECT 1 FROM shop.c AS c WHERE c.k = a.k)"
    made = mutants(text)
    assert sorted(mutant.change for mutant in made) == sorted(
        [
            "without distinct",
            "MIN(a.at) -> MAX(a.at)",
            "without a.k = b.k",
            "without b.v > 2",
            "b.v > 2 -> b.v >= 2",
            "b.v > 2 -> b.v > 3",
            "b.v > 2 -> b.v > 1",
            f"without {seen} '30 DAYS'",
            f"{seen} '30 DAYS' -> a.at <= as_of() - INTERVAL '30 DAYS'",
            f"{seen} '30 DAYS' -> {seen} '31 DAYS'",
            f"{seen} '30 DAYS' -> {seen} '29 DAYS'",
            f"without (a.x OR {exists})",
            "without a.x",
            f"without {exists}",
            "select 1 -> 2",
            "select 1 -> 0",
            "without c.k = a.k",
            "order by a.customer_id -> a.customer_id DESC",
            "LIMIT 5 -> LIMIT 6",
            "LIMIT 5 -> LIMIT 4",
        ]
    )
    unchanged = sqlglot.parse_one(text, dialect="postgres").sql(dialect="postgres")
    assert len({mutant.sql for mutant in made} - {unchanged}) == len(made)
