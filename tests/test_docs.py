"""The documentation is held to the product: what it names exists, what it shows works, what it tells to type runs."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import sqlglot
import yaml
from click.testing import CliRunner
from jinja2 import DictLoader, FileSystemLoader
from sqlglot import exp

import lifecycle
from lifecycle import as_of, cli, database, journeys, postgres_binaries, rendering, settings
from lifecycle.analyst_sql import AnalystSql
from lifecycle.contract import MEANINGS, TABLES, Column, Table
from lifecycle.errors import LifecycleError
from lifecycle.source_checks import FORMS
from lifecycle.vouchers import IssuedVoucher
from tests import machine
from tests.conftest import PROJECT, plain
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop
from tests.sql import journey_cases, test_mutations

DOCS = PROJECT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [
    PROJECT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md") if (PROJECT / name).is_file()
] + sorted(DOCS.rglob("*.md"))
EXAMPLE_SHOP = DOCS / "example-shop"
# Written for the machine of a server, where neither our database nor our sandbox is.
FOR_A_SERVER = {DOCS / "how-to" / "run-on-a-server.md"}
# They run until they are stopped, start Airflow, or stop what the other tests use.
NOT_RUN = {("demo",), ("down",), ("sandbox",), ("receiver",), ("db", "down")}

_FENCE = re.compile(
    r"(?:^`(?P<path>[\w./-]+)`\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of a page; `path` is the file it is the content of, when the line above names one."""

    page: Path
    line: int
    language: str
    text: str
    path: str


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text[: match.start("text")].count("\n") + 1
        yield Block(page, line, match["language"], match["text"], match["path"] or "")


def _all(language: str) -> list[Any]:
    found = [block for page in PAGES for block in _blocks(page) if block.language == language]
    return [pytest.param(block, id=f"{_name(block.page)}:{block.line}") for block in found]


def _prose(page: Path) -> str:
    """The page without its blocks, where brackets and backticks mean other things."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


# --- the reference is complete ----------------------------------------------------------------------------------------


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _sections(page: Path) -> dict[str, str]:
    """The text of a page by the backticked heading above it."""
    parts = re.split(r"^### `([^`]+)`$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_every_command_and_option_stands_in_the_command_line_reference() -> None:
    sections = _sections(REFERENCE / "command-line.md")
    headings = {tuple(_words_of_heading(heading)): text for heading, text in sections.items()}
    known = {("lifecycle", *path): command for path, command in _commands(cli.cli)}
    assert set(headings) == set(known)
    for path, command in known.items():
        documented = set(re.findall(r"`(--[a-z-]+)", headings[path]))
        options = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
        assert documented == options, " ".join(path)
        assert command.help, " ".join(path)


def _words_of_heading(heading: str) -> list[str]:
    """The command in a heading such as `lifecycle import DIR`: its words in small letters."""
    return [word for word in heading.split() if word.islower()]


def test_the_options_that_all_commands_share_stand_in_the_reference() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    assert "`--help`" in text
    assert "`lifecycle --version`" in text


def test_every_setting_stands_in_the_settings_reference_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(LIFECYCLE_\w+)` \|", (REFERENCE / "settings.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == list(settings.SETTINGS)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_names_only_settings_that_exist(page: Path) -> None:
    named = set(re.findall(r"\bLIFECYCLE_[A-Z_]+\b", page.read_text(encoding="utf-8")))
    # Secrets of docker-compose.yaml, and what the tests are told, are no settings of the engine.
    assert named <= {*settings.SETTINGS, *machine.SETTINGS, "LIFECYCLE_DB_PASSWORD"}


def test_every_column_of_the_contract_stands_in_the_import_reference() -> None:
    sections = _sections_of_files(REFERENCE / "import-contract.md")
    assert list(sections) == [table.file_name for table in TABLES]
    for table in TABLES:
        rows = re.findall(r"^\| (\**)`(\w+)`\** \| (\w+) \|", sections[table.file_name], re.MULTILINE)
        assert [(name, kind, bool(bold)) for bold, name, kind in rows] == [
            (column.name, column.kind, column.required) for column in table.columns
        ]


def test_every_column_of_the_contract_stands_in_the_source_reference() -> None:
    text = (REFERENCE / "source-contract.md").read_text(encoding="utf-8")
    parts = re.split(r"^### source\.(\w+)$", text, flags=re.MULTILINE)
    assert parts[1::2] == [table.name for table in TABLES]
    for table, section in zip(TABLES, parts[2::2], strict=True):
        rows = re.findall(r"^\| (\**)`(\w+)`\** \| ([\w ]+) \| (\w+) \| (.*) \|$", section, re.MULTILINE)
        assert [(name, type_name, kind, bool(bold), notes.strip()) for bold, name, type_name, kind, notes in rows] == [
            (column.stored_name, column.sql_type, column.kind, column.required, _notes(table, column))
            for column in table.columns
        ]
        key = f"Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else "No key."
        assert key in section
        assert (f"Time of knowledge: `{table.known_from}`." in section) == bool(table.known_from)


def _notes(table: Table, column: Column) -> str:
    notes = []
    if column.minimum is not None:
        notes.append(f"{column.minimum} or more" if column.maximum is None else f"{column.minimum} to {column.maximum}")
    target = dict(table.references).get(column.name)
    return ", ".join([*notes, *([f"in `source.{target}` (warning)"] if target else [])])


def test_every_form_that_the_check_asks_for_stands_in_the_source_reference() -> None:
    text = (REFERENCE / "source-contract.md").read_text(encoding="utf-8")
    section = text.split("## Forms of values")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| ([\w ]+) \| (.+) \|$", section, re.MULTILINE)[1:]
    assert [(kind, type_name) for kind, type_name, _ in rows] == [
        (kind, Column("any", kind).sql_type) for kind in MEANINGS
    ]
    said = {kind: form for kind, _, form in rows if kind in FORMS}
    assert said == {kind: form.meaning + " (warning)" * form.is_lenient for kind, form in FORMS.items()}


def _sections_of_files(page: Path) -> dict[str, str]:
    parts = re.split(r"^### (\w+\.csv)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_name_a_dag_file_may_import_stands_in_the_journey_reference() -> None:
    headings = re.findall(r"^## `(\w+)`$", (REFERENCE / "journey.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(lifecycle.__all__)


def test_every_argument_of_a_declaration_stands_in_the_journey_reference() -> None:
    from dataclasses import fields

    text = (REFERENCE / "journey.md").read_text(encoding="utf-8")
    for kind in (lifecycle.Journey, lifecycle.Step):
        section = text.split(f"## `{kind.__name__}`\n", 1)[1].split("\n## ", 1)[0]
        rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        assert sorted(rows) == sorted(field.name for field in fields(kind) if field.init)


def test_every_variable_of_a_template_stands_in_the_templates_reference() -> None:
    text = (REFERENCE / "templates.md").read_text(encoding="utf-8")
    for name in rendering.BASE_VARIABLES - {"customer", "voucher", "link"}:
        assert f"`{name}`" in text, name
    for name in ("customer_id", "first_name", "last_name", "email", "phone", "country", "city", "locale", "timezone"):
        assert f".{name}`" in text, name


def test_every_contract_view_stands_in_the_segment_reference() -> None:
    text = (REFERENCE / "segment-contract.md").read_text(encoding="utf-8")
    views = [path.stem.split("_", 1)[1] for path in (PROJECT / "include" / "sql" / "contract").glob("*.sql")]
    assert [view for view in views if f"`shop.{view}`" not in text] == []


def test_every_skip_reason_stands_in_the_glossary() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    plan = (PROJECT / "include" / "sql" / "engine" / "outbox" / "plan_step.sql").read_text(encoding="utf-8")
    reasons = set(re.findall(r"then '(\w+)\(?'", plan)) - {"queued"} | {"template_error", "no_voucher_left"}
    listed = re.findall(r"^\| `(\w+)(?:\(<journey>\))?` \|", text.split("## Skip reasons")[1], re.MULTILINE)
    assert reasons == set(listed)


def test_every_table_of_the_glossary_exists(database_url: str) -> None:
    named = set(re.findall(r"`((?:lifecycle|shop)\.[a-z_]+)`", _prose(DOCS / "glossary.md")))
    with database.transaction() as connection:
        for name in sorted(named):
            database.driver(connection).execute(f"select 1 from {name} limit 0".encode())


# --- links and form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for match in _LINK.finditer(_prose(page)):
        target, _, anchor = match["target"].partition("#")
        if target.startswith("https://"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{_name(page)} links to {target}"
        assert not anchor or anchor in _anchors(file), f"{_name(page)} links to {match['target']}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_keeps_the_form(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.count("```") % 2 == 0
    assert not re.search(r"\bDAGs?\b", re.sub(r"`[^`]*`", "", _prose(page))), "prose says Dag"


def test_every_file_of_the_docs_is_linked_from_the_readme() -> None:
    readme = _prose(PROJECT / "README.md")
    linked = {(PROJECT / match["target"]).resolve() for match in _LINK.finditer(readme)}
    pages = [page for page in DOCS.rglob("*.md") if page.parent != DOCS / "decisions"]
    assert [_name(page) for page in pages if page not in linked] == []


def test_a_decision_is_one_short_page() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        lines = page.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 60, page.name
        assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]


# --- what pages show works --------------------------------------------------------------------------------------------


def _shows_a_view(block: Block) -> bool:
    return "create or replace view" in block.text


@pytest.mark.parametrize("block", [one for one in _all("sql") if not _shows_a_view(one.values[0])])
def test_sql_in_the_docs_keeps_the_segment_contract(block: Block, tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "shown.sql"
    file.write_text(block.text, encoding="utf-8")
    kind = "goal" if "converted_at" in block.text else "earning" if " as points" in block.text else "audience"
    with database.transaction() as connection:
        AnalystSql(file, kind).checked_columns(connection)


@pytest.mark.parametrize("block", [one for one in _all("sql") if _shows_a_view(one.values[0])])
def test_a_mapping_in_the_docs_gives_the_columns_of_the_contract(block: Block) -> None:
    shown: Any = sqlglot.parse_one(block.text, dialect="postgres")
    shipped_file = PROJECT / "include" / "sql" / "sources" / f"{shown.this.name}.sql"
    shipped: Any = sqlglot.parse_one(shipped_file.read_text(encoding="utf-8"), dialect="postgres")
    assert isinstance(shown.expression, exp.Select)
    assert shown.this.db == "source"
    assert shown.expression.named_selects == shipped.expression.named_selects


@pytest.mark.parametrize("block", _all("jinja"))
def test_a_template_in_the_docs_renders(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = rendering.environment(settings.templates_folder()).overlay()
    folder: Any = FileSystemLoader(str(settings.templates_folder()))
    shown = DictLoader({"shown.sms.j2": block.text})
    monkeypatch.setattr(environment, "loader", _first_of(shown, folder))
    monkeypatch.setattr(environment, "cache", None)
    day = as_of.midnight(as_of.parse_day("2026-03-31"), "Europe/London")
    recipient = rendering.Recipient(
        "00000000-0000-0000-0000-000000000000",
        rendering.Customer("C-1"),
        day,
        {},
        IssuedVoucher("CDFG-HJKL-MNPT", 15, day),
    )
    text = environment.get_template("shown.sms.j2").render(rendering.page_values("reactivation", recipient, set()))
    assert "None" not in text
    assert "http" in text


def _first_of(*loaders: Any) -> Any:
    from jinja2 import ChoiceLoader

    return ChoiceLoader(loaders)


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A throw-away project with the ladder, and with the files that the page of the test shows."""
    page: Path = request.getfixturevalue("page")
    builder = ProjectBuilder(tmp_path, with_reactivation=True)
    shutil.copy(PROJECT / "dags" / "loyalty_points.py", tmp_path / "dags")
    for block in _blocks(page):
        if block.path:
            builder.write(block.path, block.text)
    shutil.copytree(EXAMPLE_SHOP, tmp_path / "docs" / "example-shop")
    shutil.copytree(PROJECT / "examples", tmp_path / "examples")
    _commit(tmp_path)
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _commit(folder: Path) -> None:
    """Make the folder a git checkout, as the project of a user is one."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "start"]):
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.mark.parametrize("page", [PROJECT / "README.md"], ids=_name)
def test_the_dag_of_the_readme_loads_and_is_the_one_that_ships(page: Path, project: Path) -> None:
    (block,) = (block for block in _blocks(page) if block.language == "python")
    shipped = (PROJECT / "dags" / "reactivation.py").read_text(encoding="utf-8")
    assert block.text in shipped
    (project / "dags" / "reactivation.py").write_text('"""# Ladder"""\n\n' + block.text, encoding="utf-8")
    assert [step.name for step in journeys.load("reactivation").journey.steps] == ["survey", "contest", "coupon"]


@pytest.mark.parametrize("page", [DOCS / "how-to" / "add-a-journey.md"], ids=_name)
def test_the_cases_of_the_new_journey_hold_and_notice_every_change(
    page: Path, project: Path, database_url: str, tmp_path: Path
) -> None:
    for file in sorted((project / "tests" / "sql" / "journeys" / "second_order").glob("*.yaml")):
        path = Path("second_order") / f"{file.stem}.sql"
        sql = AnalystSql(project / "include" / "sql" / "journeys" / path, journey_cases.kind_of(path))
        cases = yaml.safe_load(file.read_text(encoding="utf-8"))
        for case in cases:
            with database.transaction() as connection, connection.begin_nested() as rehearsal:
                journey_cases.prepare(connection, "second_order", case)
                found = journey_cases.found(connection, sql, case)
                rehearsal.rollback()
            assert found == journey_cases.expected(case), case["name"]
        assert not test_mutations.survivors(sql, cases, tmp_path)


@pytest.mark.parametrize("page", [DOCS / "how-to" / "add-a-journey.md"], ids=_name)
def test_the_story_of_the_new_journey_holds(page: Path, project: Path, shop: Shop, sandbox: SandboxClient) -> None:
    story = runpy.run_path(str(project / "tests" / "dags" / "test_second_order.py"))
    for name in [name for name in story if name.startswith("test_")]:
        story[name](shop, sandbox)


# --- what pages tell to type ------------------------------------------------------------------------------------------


class Typed(NamedTuple):
    """A command line of a page, split into words, and the lines of output that the page shows below it."""

    words: list[str]
    shown: list[str]


def _typed(page: Path) -> list[Typed]:
    """The command lines of a page that are ours, `bin/...` and `make ...` included."""
    found: list[Typed] = []
    last_end = 0
    for match in _FENCE.finditer(text := page.read_text(encoding="utf-8")):
        is_output = not match["language"] and not text[last_end : match.start()].strip()
        if is_output and found:
            found[-1].shown.extend(line.strip() for line in match["text"].splitlines())
        lines = match["text"].splitlines() if match["language"] == "bash" else []
        words = [shlex.split(line, comments=True) for line in lines]
        found += [Typed(line, []) for line in words if line and _is_ours(line[0])]
        last_end = match.end()
    return found


def _is_ours(program: str) -> bool:
    return program in ("lifecycle", "psql", "make", "cp") or program.startswith("bin/")


_TYPING_PAGES = [page for page in PAGES if page not in FOR_A_SERVER and _typed(page)]


@pytest.mark.parametrize("page", _TYPING_PAGES, ids=_name)
def test_every_command_of_a_page_runs(
    page: Path, project: Path, empty_database: str, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click, "launch", lambda _: 0)
    typed = _typed(page)
    if not any(line.words[:2] == ["lifecycle", "import"] for line in typed):
        _run_lifecycle(["import", "docs/example-shop"])
    for line in typed:
        printed = [one.strip() for one in _run(line.words, empty_database).splitlines()]
        if line.words[0] in ("lifecycle", "psql"):
            assert [one for one in line.shown if one not in printed] == [], shlex.join(line.words)


def _run(words: list[str], database_url: str) -> str:
    """Run a command line and return what it printed; what is not run here is checked to exist."""
    if words[0] == "lifecycle":
        return _run_lifecycle(words[1:])
    if words[0] == "psql":
        return _run_psql(words[1:], database_url)
    if words[0] == "cp":
        return _copy(*words[1:])
    _check_exists(words)
    return ""


def _check_exists(words: list[str]) -> None:
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets
        return
    assert os.access(PROJECT / words[0], os.X_OK), words
    if words[0] == "bin/test":
        assert all((PROJECT / path).exists() for path in words[1:]), words
    else:
        _parse(["demo" if words[0] == "bin/demo" else "down", *words[1:]])


def _copy(pattern: str, folder: str) -> str:
    """Copy files within the project, as the shell would."""
    files = list(Path.cwd().glob(pattern))
    assert files, pattern
    for file in files:
        shutil.copy(file, Path.cwd() / folder)
    return ""


def _run_lifecycle(words: list[str]) -> str:
    if _parse(words) in NOT_RUN:
        return ""
    result = CliRunner().invoke(cli.cli, words)
    if isinstance(result.exception, LifecycleError):
        raise result.exception
    assert result.exit_code == 0, f"lifecycle {shlex.join(words)}: {result.output}"
    return result.output


def _parse(words: list[str]) -> tuple[str, ...]:
    """The path of the command, after its arguments and options were understood."""
    command: click.Command = cli.cli
    path: list[str] = []
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(click.Context(command), words)
        assert name, words
        assert found, words
        path.append(name)
        command = found
    command.make_context(path[-1], words, resilient_parsing=False)
    return tuple(path)


def _run_psql(words: list[str], database_url: str) -> str:
    address = plain(database_url)
    arguments = [address if word == "$(lifecycle db url)" else word for word in words]
    assert arguments[0] == address, "say which database"
    psql = [str(postgres_binaries.folder() / "psql"), "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
    done = subprocess.run([*psql, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
    return done.stdout
