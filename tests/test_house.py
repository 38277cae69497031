"""House rules: what every file of the product keeps to, so that a newcomer finds things where they belong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import sqlglot
import sqlglot.errors
from sqlglot import exp

from lifecycle import database, journeys, settings
from tests.conftest import PROJECT

DAGS = sorted((PROJECT / "dags").glob("*.py"))
JOURNEYS = [PROJECT / "dags" / f"{name}.py" for name in journeys.names()]
ENGINE = sorted((PROJECT / "plugins" / "lifecycle").rglob("*.py"))
STATEMENTS = [
    path
    for folder in ("engine", "journeys", "contract", "sources", "loyalty", "draws")
    for path in sorted((PROJECT / "include" / "sql" / folder).rglob("*.sql"))
]
# Statements of other databases, or scripts of several statements that only the migrations run.
# What an analyst's file is read with, chosen by its kind.
WRAPPERS = {
    "audience", "undecided", "goal", "end", "draw", "columns", "explain", "prove", "prove_earning", "prove_items",
    "recommendation", "first_items", "staged_facts",
}  # fmt: skip
SCRIPTS = {"drop_views.sql", "grant_reader.sql", "lock.sql", "clear.sql", "analyze.sql"}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_airflow_leaves_the_engine_alone_when_it_loads_plugins() -> None:
    assert "lifecycle/" in _text(PROJECT / "plugins" / ".airflowignore").splitlines()


def test_no_module_hides_a_real_package() -> None:
    import sys

    taken = set(sys.stdlib_module_names) | {"sendgrid", "twilio", "airflow", "jinja2", "sqlalchemy", "psycopg"}
    top_level = {path.stem for path in (PROJECT / "plugins").glob("*.py")}
    assert not top_level & taken
    assert not {path.stem for path in ENGINE} & (taken - {"database"}) - {"__init__"}


@pytest.mark.parametrize("path", DAGS, ids=_name)
def test_a_dag_file_declares_and_wires_and_does_nothing_else(path: Path) -> None:
    tree = ast.parse(_text(path))
    assert (ast.get_docstring(tree) or "").startswith("# "), "the docstring is the page in the UI and starts with an H1"
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.With, ast.Expr)
    assert all(isinstance(node, allowed) for node in tree.body)
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    # datetime for the durations that declarations take.
    assert imported <= {"airflow.sdk", "lifecycle", "datetime"}
    assert "from airflow.sdk import DAG" in _text(path), "Airflow skips files that do not say so themselves"
    assert "getenv" not in _text(path)
    assert "environ" not in _text(path)


@pytest.mark.parametrize("path", JOURNEYS, ids=_name)
def test_a_journey_has_its_sql_templates_cases_and_story_under_its_own_name(path: Path) -> None:
    assert (PROJECT / "include" / "sql" / "journeys" / path.stem).is_dir()
    assert (PROJECT / "include" / "templates" / path.stem).is_dir()
    assert (PROJECT / "tests" / "sql" / "journeys" / path.stem).is_dir()
    assert (PROJECT / "tests" / "dags" / f"test_{path.stem}.py").is_file()


def test_a_dag_file_may_import_twenty_names_at_most() -> None:
    import lifecycle

    assert len(lifecycle.__all__) <= 20


@pytest.mark.parametrize("path", ENGINE, ids=_name)
def test_sql_lives_in_include_sql(path: Path) -> None:
    statement = re.compile(
        r"\b(select\b.+\bfrom\b|insert into|update .+ set\b|delete from)\b", re.IGNORECASE | re.DOTALL
    )
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _is_docstring(node, path):
            assert not statement.search(node.value) or not _parses(node.value), f"SQL in {_name(path)}:{node.lineno}"


def _is_docstring(node: ast.Constant, path: Path) -> bool:
    return "\n" in str(node.value) and str(node.value)[:1].isupper()


def _parses(text: str) -> bool:
    try:
        found = sqlglot.parse(text, dialect="postgres")
    except sqlglot.errors.SqlglotError:
        return False
    return any(isinstance(one, (exp.Query, exp.Insert, exp.Update, exp.Delete)) for one in found)


@pytest.mark.parametrize("path", STATEMENTS, ids=_name)
def test_a_sql_file_says_what_it_is_for_and_holds_one_statement(path: Path) -> None:
    assert _text(path).startswith("-- "), "the first line says who is selected, or what is done, and why"
    if path.name not in SCRIPTS:
        body = re.sub(r"--.*", "", _text(path)).strip().rstrip(";")
        assert ";" not in body


def test_every_engine_statement_is_used() -> None:
    code = "\n".join(_text(path) for path in ENGINE)
    used_by_name = {path for path in STATEMENTS if f"{path.parent.name}/{path.name}" in code}
    by_kind = {path for path in STATEMENTS if path.parent.name == "segments" and path.stem in WRAPPERS}
    asked = {path for path in STATEMENTS if path.parts[-3:-1] == ("engine", "sources") and f'"{path.stem}"' in code}
    others = {path for path in STATEMENTS if "engine" not in path.parts}
    assert set(STATEMENTS) - used_by_name - by_kind - asked - others == set()


def test_the_head_file_names_the_last_migration() -> None:
    names = database.migration_names()
    assert _text(PROJECT / "include" / "sql" / "schema" / "HEAD").strip() == names[-1]
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, len(names) + 1)]


def test_nothing_below_the_edge_reads_the_clock() -> None:
    edge = {
        "cli.py",
        "airflow_tasks.py",
        "demo.py",
        "demo_shop.py",
        "csv_import.py",
        "delivery.py",
        "stack.py",
        "storage.py",
        "answers.py",
    }
    for path in ENGINE:
        if path.name not in edge and "sandbox" not in path.parts:
            assert not re.search(r"\.(now|utcnow|today)\(", _text(path)), _name(path)


def test_settings_are_read_in_one_place() -> None:
    readers = {path.name for path in ENGINE if re.search(r"environ\.get|getenv|environ\[\"LIFECYCLE", _text(path))}
    # Airflow's own environment is made by airflow_setup; a task points the engine at its connection's database.
    assert readers <= {"settings.py", "airflow_setup.py", "airflow_tasks.py", "journeys.py"}


def test_every_setting_is_named_like_the_product() -> None:
    assert all(name.startswith("LIFECYCLE_") for name in settings.SETTINGS)
    source = _text(PROJECT / "plugins" / "lifecycle" / "settings.py")
    assert set(re.findall(r'_read\("(LIFECYCLE_\w+)"', source)) == set(settings.SETTINGS)


def test_nothing_names_a_package_registry() -> None:
    # Put together here, so that this file does not name one either.
    hosts = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("deb", "debian", "org")]
    registry = re.compile("|".join(r"\.".join(parts) for parts in hosts))
    for path in PROJECT.rglob("*"):
        if path.is_file() and not {".venv", ".git", ".lifecycle"} & set(path.parts):
            assert not registry.search(path.read_bytes().decode("utf-8", "ignore")), _name(path)
