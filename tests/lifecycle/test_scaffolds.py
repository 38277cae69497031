"""New journeys and segments: what is written passes every check at once, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tests.project_builder import ProjectBuilder
from tests.sql import journey_cases
from tests.sql.test_mutations import survivors

from lifecycle import checks, cli, journeys, scaffolds
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the ladder and a folder for cases."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ProjectBuilder(tmp_path, with_reactivation=True).write("tests/sql/__init__.py", "")
    return tmp_path


def _command(*words: str) -> Any:
    return CliRunner().invoke(cli.cli, words)


def test_a_new_journey_passes_its_check_at_once(project: Path, database_url: str) -> None:
    assert _command("new-journey", "welcome_back").exit_code == 0
    assert checks.problems("welcome_back") == []
    declared = journeys.load("welcome_back")
    assert [step.name for step in declared.journey.steps] == ["ordered_7_days_ago"]
    assert "${" not in "".join(path.read_text(encoding="utf-8") for path in project.rglob("*welcome_back*.py"))


def test_it_says_which_files_it_wrote(project: Path) -> None:
    assert _command("new-journey", "welcome_back").stdout.splitlines() == [
        "dags/welcome_back.py",
        "include/sql/journeys/welcome_back/ordered_7_days_ago.sql",
        "include/templates/welcome_back/ordered_7_days_ago.sms.j2",
        "tests/sql/journeys/welcome_back/ordered_7_days_ago.yaml",
        "include/sql/journeys/welcome_back/ordered_again.sql",
        "tests/sql/journeys/welcome_back/ordered_again.yaml",
        "tests/dags/test_welcome_back.py",
    ]


@pytest.mark.parametrize(("name", "kind"), [("ordered_7_days_ago", "audience"), ("ordered_again", "goal")])
def test_its_cases_hold_and_notice_every_change(
    project: Path, database_url: str, tmp_path_factory: pytest.TempPathFactory, name: str, kind: str
) -> None:
    scaffolds.new_journey("welcome_back")
    file = AnalystSql(project / "include/sql/journeys/welcome_back" / f"{name}.sql", kind)
    cases = yaml.safe_load((project / "tests/sql/journeys/welcome_back" / f"{name}.yaml").read_text(encoding="utf-8"))
    from lifecycle import database

    for case in cases:
        with database.transaction() as connection, connection.begin_nested() as given:
            journey_cases.prepare(connection, "welcome_back", case)
            assert journey_cases.found(connection, file, case) == journey_cases.expected(case), case["name"]
            given.rollback()
    assert survivors(file, cases, tmp_path_factory.mktemp("mutants")) == []


def test_a_new_segment_passes_the_check_of_its_step(project: Path, database_url: str) -> None:
    done = _command("new-segment", "reactivation", "ordered_lately")
    assert done.stdout.splitlines() == [
        "include/sql/journeys/reactivation/ordered_lately.sql",
        "include/templates/reactivation/ordered_lately.sms.j2",
        "tests/sql/journeys/reactivation/ordered_lately.yaml",
    ]
    step = scaffolds.step_of("ordered_lately")
    assert step in done.stderr
    dag = project / "dags" / "reactivation.py"
    text = dag.read_text(encoding="utf-8")
    dag.write_text(text.replace("    steps=[\n", f"    steps=[\n        {step}\n"), encoding="utf-8")
    assert checks.problems("reactivation") == []
    assert journeys.load("reactivation").journey.steps[0].name == "ordered_lately"


def test_nothing_is_overwritten(project: Path) -> None:
    scaffolds.new_journey("welcome_back")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    for words in (
        ("new-journey", "welcome_back"),
        ("new-journey", "reactivation"),
        ("new-journey", "pages"),
        ("new-segment", "welcome_back", "ordered_7_days_ago"),
        ("new-segment", "reactivation", "survey"),
    ):
        done = _command(*words)
        assert isinstance(done.exception, LifecycleError), words
        assert " exists. Choose another name" in str(done.exception)
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["Welcome", "2nd", "../up", "wel-come", "", "a" * 64, "wel come", "naïve"])
def test_a_name_is_held_to_what_declarations_allow(project: Path, name: str) -> None:
    with pytest.raises(LifecycleError, match=r"The journey name .* is not usable"):
        scaffolds.new_journey(name)
    with pytest.raises(LifecycleError, match=r"The segment name .* is not usable"):
        scaffolds.new_segment("reactivation", name)


def test_a_segment_needs_a_journey(project: Path) -> None:
    with pytest.raises(LifecycleError, match=r"There is no journey 'reactivaton'\. Did you mean 'reactivation'"):
        scaffolds.new_segment("reactivaton", "more")


def test_a_project_without_cases_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    ProjectBuilder(tmp_path)
    assert len(scaffolds.new_journey("welcome_back")) == 4
    assert not (tmp_path / "tests").exists()
