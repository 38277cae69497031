"""The command line: exit codes, one-line errors, formats that parse, and commands that write nothing."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from tests.conftest import plain
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import cli, database, embedded_postgres

PROGRAM = Path(sys.executable).with_name("lifecycle")
ORDERED = date(2026, 3, 1)
DAY_30 = ORDERED + timedelta(days=30)


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of a mistake."""
        assert self.code == 2, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1, self.err
        return self.err[7:-1]

    def table(self) -> list[list[str]]:
        """The rows of a table by its columns, the header first."""
        return [line.split() for line in self.out.splitlines()]


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, from its argument line to its exit code."""

    def command(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["lifecycle", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return command


def program(*arguments: str, **environment: str) -> Answer:
    """Run the installed program in a process of its own."""
    done = subprocess.run(
        [str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def silent_shop(shop: Shop) -> psycopg.Connection[Any]:
    """Two people silent since 1 March; one of them agreed to nothing, and has brackets in her id."""
    shop.customer("aiko", phone="+33639980001", first_name="Aiko")
    shop.customer("[bold]eve[/]", phone="+33639980002", sms_consent=False)
    for name in ("aiko", "[bold]eve[/]"):
        shop.order(name, ORDERED)
    return shop.connection


def rows_per_table(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows every table holds."""
    tables = connection.execute(
        "select schemaname || '.' || tablename from pg_tables where schemaname in ('lifecycle', 'imported', 'public')"
    ).fetchall()
    return {table: connection.execute(f"select count(*) from {table}".encode()).fetchall()[0][0] for (table,) in tables}


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audience", "reactivatio/survey"), "There is no journey 'reactivatio'. Did you mean 'reactivation'."),
        (("audience", "reactivation/surve"), "There is no step 'surve'. Did you mean 'survey'."),
        (("audience", "reactivation"), "names no step. Write one of: reactivation/survey, reactivation/contest"),
        (("audience", "../../etc/passwd"), "There is no journey '..'."),
        (("audience", "a" * 300), "There is no journey 'aaa"),
        (("plan", "reactivaton"), "Did you mean 'reactivation'."),
        (("report", "reactivaton"), "Did you mean 'reactivation'."),
        (("run", "reactivaton"), "Did you mean 'reactivation'."),
        (("run", "reactivation", "--from", "2026-03-01", "--to", "2026-03-02"), "are for loyalty programmes"),
        (("run", "loyalty_points", "--from", "2199-03-01", "--to", "2199-03-02"), "2199-03-02 has not begun in"),
        (("run", "loyalty_points", "--from", "2026-03-01"), "The days to accrue are not clear. Give --from and --to"),
        (("points", "nobody"), "There is no customer 'nobody'. Give the customer_id"),
        (("points", "adjust", "nobody", "5", "--key", "a", "--why", "b"), "There is no customer 'nobody'."),
        (("points", "redeem", "nobody", "twenty_percent", "--key", "a"), "There is no customer 'nobody'."),
        (("points", "redeem", "nobody", "twenty_percents", "--key", "a"), "Did you mean 'twenty_percent'."),
        (("pause", "emial"), "There is no scope 'emial'. Did you mean 'email'."),
        (("resume", "nothing"), "There is no scope 'nothing'. Known: all, "),
        (("audience", "reactivation/survey", "--as-of", "31.03.2026"), "'31.03.2026' is not a day. Write it as"),
        (("audience", "reactivation/survey", "--as-of", "2026-02-30"), "'2026-02-30' is not a day."),
        (("audience", "reactivation/survey", "--as-of", "0001-01-01"), "'0001-01-01' is too far away."),
        (("plan", "reactivation", "--as-of", ""), "'' is not a day."),
        (("replay", "reactivation", "--from", "2026-03-02", "--to", "2026-03-01"), "ends before it starts. Swap --from"),
        (("replay", "reactivation", "--from", "1971-01-01", "--to", "2026-03-01"), "days long. Ask for ten years"),
        (("replay", "reactivation", "--from", "2026-03-02"), "Missing option '--to'"),
        (("preview", "reactivation/survey", "--customer", "nobody"), "Customer 'nobody' is not known on"),
        (("import", "/does/not/exist"), "/does/not/exist"),
        (("audience", "reactivation/survey", "--format", "xml"), "'xml' is not one of 'table', 'csv', 'json'."),
        (("audience", "reactivation/survey", "--as-off", "x"), "No such option '--as-off'"),
        (("audience",), "Missing argument 'JOURNEY/STEP'"),
        (("plann",), "No such command 'plann'."),
        (("receiver", "--port", "70000"), "70000 is not in the range 1<=x<=65535."),
        (("sandbox", "--port", "x"), "'x' is not a valid integer range."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(
    database_url: str, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    assert said in run(*arguments).error().replace(": --", " '--")


COMMANDS = [
    ("audience", "reactivation/survey"),
    ("plan", "reactivation"),
    ("run", "reactivation"),
    ("report",),
    ("check",),
    ("pause",),
    ("replay", "reactivation", "--from", "2026-03-01", "--to", "2026-03-02"),
    ("preview", "reactivation/survey"),
    ("import", "."),
    ("db", "migrate"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_database_that_is_away_is_one_line_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://ana:s3cr/et@p@127.0.0.1:9/shop?password=s3cret")
    said = run(*arguments).error()
    assert "s3cr" not in said
    assert "et@p" not in said
    assert "not the address of a Postgres" in said or "not reachable at postgresql://127.0.0.1:9/shop: " in said


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_database_at_a_closed_port_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://ana:s3cret@127.0.0.1:9/shop")
    said = run(*arguments).error()
    assert said.startswith("Postgres is not reachable at postgresql://127.0.0.1:9/shop: ")
    assert "correct LIFECYCLE_DATABASE_URL" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:s3cret@b/c", "postgresql://a:s3cret@b:port/c", "sqlite:///x"])
def test_an_address_that_is_none_is_one_line_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", url)
    assert run("report").error() == (
        "LIFECYCLE_DATABASE_URL is not the address of a Postgres. Write it as postgresql://user:password@host:port/name."
    )


@pytest.fixture
def unmigrated(template_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that was never migrated, in use."""
    with psycopg.connect(plain(embedded_postgres.url("postgres")), autocommit=True) as server:
        server.execute("drop database if exists never_migrated")
        server.execute("create database never_migrated")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", embedded_postgres.url("never_migrated"))
    yield
    database.disconnect()


@pytest.mark.parametrize("arguments", [one for one in COMMANDS if one[0] not in ("import", "db")], ids=" ".join)
def test_a_database_that_was_never_migrated_is_one_line_with_the_command(
    unmigrated: None, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", "http://127.0.0.1:9")
    assert run(*arguments).error() == "The database lacks 0001_lifecycle. Run: lifecycle db migrate."


def test_a_right_that_is_missing_is_said_in_postgres_own_words(
    template_database: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(plain(template_database), autocommit=True) as server:
        server.execute("drop role if exists stranger")
        server.execute("create role stranger login")
    url = template_database.split("//", 1)
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", f"{url[0]}//stranger@{url[1].rsplit('@', 1)[-1]}")
    said = run("report").error()
    database.disconnect()
    assert "permission denied" in said or "not reachable" in said or "lacks" in said


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_audience_reads_the_same_in_every_format(silent_shop: Any, run: Run) -> None:
    arguments = ("audience", "reactivation/survey", "--as-of", str(DAY_30))
    expected = [["[bold]eve[/]", "order-0002"], ["aiko", "order-0001"]]
    as_csv, as_json, as_table = (run(*arguments, "--format", form) for form in ("csv", "json", "table"))
    assert list(csv.reader(as_csv.out.splitlines())) == [["customer_id", "anchor"], *expected]
    assert [list(row.values()) for row in json.loads(as_json.out)] == expected
    assert as_table.table() == [["customer_id", "anchor"], *expected]
    assert {answer.err for answer in (as_csv, as_json, as_table)} == {"2 people as of 2026-03-31 00:00 BST\n"}
    assert {answer.code for answer in (as_csv, as_json, as_table)} == {0}


def test_nobody_is_an_answer_in_every_format(silent_shop: Any, run: Run) -> None:
    arguments = ("audience", "reactivation/survey", "--as-of", "2026-03-30")
    assert run(*arguments, "--format", "csv").out == "customer_id,anchor\n"
    assert json.loads(run(*arguments, "--format", "json").out) == []
    assert run(*arguments).table() == [["customer_id", "anchor"]]


def test_a_plan_says_what_would_happen_and_writes_nothing(silent_shop: Any, run: Run) -> None:
    before = rows_per_table(silent_shop)
    answer = run("plan", "reactivation", "--as-of", str(DAY_30), "--format", "csv")
    assert list(csv.reader(answer.out.splitlines())) == [
        ["customer_id", "step", "anchor", "outcome", "reason"],
        ["[bold]eve[/]", "survey", "order-0002", "skipped", "no_consent"],
        ["aiko", "survey", "order-0001", "would_send", ""],
    ]
    assert "survey: 1 would_send\n" in answer.err
    assert rows_per_table(silent_shop) == before


@pytest.mark.parametrize("policy", [[], ["--no-policy"]])
def test_a_replay_has_exactly_its_columns_and_writes_nothing(silent_shop: Any, run: Run, policy: list[str]) -> None:
    before = rows_per_table(silent_shop)
    answer = run(
        "replay", "reactivation", "--from", "2026-03-30", "--to", "2026-04-01", "--format", "csv", *policy
    )  # fmt: skip
    header, *rows = csv.reader(answer.out.splitlines())
    assert header == ["run_day", "step", "customer_id", "anchor", "outcome", "reason"]
    outcomes = [["due", ""], ["due", ""]] if policy else [["skipped", "no_consent"], ["would_send", ""]]
    assert rows == [
        ["2026-03-31", "survey", "[bold]eve[/]", "order-0002", *outcomes[0]],
        ["2026-03-31", "survey", "aiko", "order-0001", *outcomes[1]],
    ]
    assert rows_per_table(silent_shop) == before


def test_a_run_sends_and_the_report_adds_up(silent_shop: Any, run: Run, sandbox: SandboxClient) -> None:
    answer = run("run", "reactivation", "--as-of", str(DAY_30))
    assert answer.out.splitlines() == [
        "2026-03-31 survey: 1 accepted",
        "2026-03-31 survey: 1 skipped: no_consent",
        "2026-03-31 converted: 0, ended without a reaction: 0",
    ]
    assert len(sandbox.messages()) == 1
    run("run", "reactivation", "--as-of", str(DAY_30))
    assert len(sandbox.messages()) == 1
    reported = run("report", "--from", "2026-03-01", "--to", "2026-04-30", "--format", "json")
    (day,) = json.loads(reported.out)
    assert day == {
        "run_day": "2026-03-31", "due": 2, "sent": 1, "skipped": "no_consent 1", "waiting": 0, "failed": 0,
        "unknown": 0, "converted": 0,
    }  # fmt: skip


def test_a_paused_journey_waits_until_it_is_resumed(silent_shop: Any, run: Run, sandbox: SandboxClient) -> None:
    assert "sms is paused" in run("pause", "sms", "--reason", "a wrong price").out
    run("run", "reactivation", "--as-of", str(DAY_30))
    assert sandbox.messages() == []
    assert run("resume", "sms").out.startswith("sms is open")
    run("run", "reactivation", "--as-of", str(DAY_30))
    assert len(sandbox.messages()) == 1


def test_a_run_without_a_shop_writes_nothing(empty_database: str, run: Run, sandbox: SandboxClient) -> None:
    assert (
        run("run", "reactivation", "--as-of", str(DAY_30)).error().startswith("No customer is known before 2026-03-31")
    )
    with psycopg.connect(plain(empty_database)) as connection:
        counts = rows_per_table(connection)
    # The zones of phone numbers come with the schema.
    brought_along = {"public.lifecycle_migrations", "lifecycle.zones", "lifecycle.phone_zones"}
    assert {table for table, count in counts.items() if count} == brought_along


def test_a_preview_shows_the_words_the_parts_and_the_price(silent_shop: Any, run: Run) -> None:
    answer = run("preview", "reactivation/survey", "--as-of", str(DAY_30))
    assert "--- a typical customer: 1 part, 5 cents" in answer.out
    assert "Our Shop: Hi there, how did we do?" in answer.out
    mine = run("preview", "reactivation/survey", "--customer", "aiko", "--as-of", str(DAY_30))
    assert "--- customer aiko" in mine.out
    assert "Hi Aiko," in mine.out


@pytest.mark.parametrize(
    ("step", "words"),
    [("birthday/child", "Happy birthday to <names>"), ("order_updates/confirmed_email", "- <items>\n")],
)
def test_a_preview_goes_through_a_list_by_its_name(empty_database: str, run: Run, step: str, words: str) -> None:
    assert words in run("preview", step).out


def test_a_preview_of_an_mms_shows_its_media_and_one_price(
    empty_database: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIFECYCLE_MMS_CENTS", "12")
    project = ProjectBuilder(tmp_path)
    project.sms_journey(sms="Hello " * 60 + "STOP", media='"https://shop.example/a.jpg"')
    answer = run("preview", "hello/greet")
    assert "--- a typical customer: MMS, 12 cents\n" in answer.out
    assert "[https://shop.example/a.jpg]\n" in answer.out
    project.sms_journey(media='["https://shop.example/a.jpg", "https://images.evil.example/b.jpg"]')
    assert run("check", "hello").out.splitlines() == [
        "dags/hello.py:11: https://images.evil.example/b.jpg is on a host that no link leads to. "
        "Known: shop.example; another one is allowed by an entry in links.yaml."
    ]


def test_a_check_exits_0_when_all_is_well_and_1_when_not(
    database_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = run("check")
    assert (answer.code, answer.err) == (0, "everything is in order\n")
    assert "include/sql/journeys/reactivation/silent_30_days.sql: exact\n" in answer.out
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    project = ProjectBuilder(tmp_path)
    project.sms_journey("hello", sms="Hi {{ nmae }}")
    project.sms_journey("worse")
    project.segment("worse", "all", "select now()")
    answer = run("check")
    assert answer.code == 1
    assert answer.err == ""
    assert [line.split(". ")[0] for line in answer.out.splitlines()] == [
        "include/templates/hello/greet.sms.j2:1: There is no variable 'nmae'",
        "include/sql/journeys/worse/all.sql:1:8: now reads the clock, so a past day could not be repeated",
    ]
    assert run("check", "hello").out.count("\n") == 1
    assert run("check", "helo").out == "There is no journey 'helo'. Did you mean 'hello'.\n"


# --- the program itself -----------------------------------------------------------------------------------------------


def test_import_run_and_report_work_from_the_shell(empty_database: str, sandbox: SandboxClient, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(
        "customer_id,signed_up_at,phone,first_name,sms_opt_in_at\n"
        "aiko,2020-01-01T00:00:00Z,+33639980001,Aiko,2020-01-01T00:00:00Z\n"
    )
    (tmp_path / "orders.csv").write_text(
        "order_id,customer_id,ordered_at,total,currency\no1,aiko,2026-03-01T12:00:00+00:00,10.00,GBP\n"
    )
    assert program("import", str(tmp_path)).code == 0
    assert "survey: 1 accepted" in program("run", "reactivation", "--as-of", str(DAY_30)).out
    report = program("report", "--from", "2026-03-01", "--to", "2026-04-30", "--format", "csv")
    assert report.out.splitlines()[1] == "2026-03-31,1,1,,0,0,0,0"
    assert [message["to_address"] for message in sandbox.messages()] == ["+33639980001"]


def test_a_failing_program_shows_no_traceback() -> None:
    answer = program("report", LIFECYCLE_DATABASE_URL="postgresql://ana:s3cret@127.0.0.1:9/shop")
    assert answer.error().startswith("Postgres is not reachable")


@pytest.mark.parametrize("server", ["sandbox", "receiver"])
def test_a_port_that_is_taken_is_one_line(server: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = program(server, "--port", str(port)).error()
    assert said.startswith(f"Port {port} ")
    assert "taken" in said


def test_a_reader_that_stops_early_is_no_failure(silent_shop: Any) -> None:
    command = f"{PROGRAM} replay reactivation --from 2026-03-01 --to 2026-06-30 --no-policy --format csv | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "run_day,step,customer_id,anchor,outcome,reason\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("day", ["2199-01-01", "2026-01-01"])
def test_a_live_shop_runs_no_other_day_than_today(run: Any, monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    answer = run("run", "reactivation", "--as-of", day)
    assert answer.code == 2
    assert f"{day} is not today, and real people would be messaged." in answer.err


@pytest.mark.parametrize("group", ["db", "points", "draw", "voucher"])
def test_a_group_without_a_command_shows_its_help_over_several_lines(run: Run, group: str) -> None:
    answer = run(group)
    assert answer.code == 2
    assert f"lifecycle {group} [OPTIONS]" in answer.err
    assert "\n\nCommands:\n" in answer.err


def test_what_a_till_is_told_about_a_code_is_read_line_by_line(run: Run, shop: Shop) -> None:
    answer = run("voucher", "redeem", "CDFG-HJKL-MNPQ", "--order", "O-1")
    assert (answer.code, answer.table()) == (1, [["what", "value"], ["outcome", "mistyped"]])
