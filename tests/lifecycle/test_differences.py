"""`lifecycle diff`: whom a changed segment takes in and leaves out, against a revision, at the same as_of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import cli, differences
from lifecycle.errors import LifecycleError

DAY = date(2026, 3, 31)
SEGMENT = """-- Who ordered in the last {days} days. Reads: shop.orders.
select
    orders.customer_id,
    {anchor} as anchor
from shop.orders as orders
where orders.ordered_at >= as_of() - interval '{days} days'
group by orders.customer_id
order by orders.customer_id
"""
AGAINST = ("--against", "HEAD", "--as-of", "2026-03-31")


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `lifecycle diff` in this process."""

    def command(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["lifecycle", "diff", *words])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Answer(code, str(printed.out), str(printed.err))

    return command


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> ProjectBuilder:
    """Two committed journeys: orders of the last 10 days, and everybody. Six people ordered 2, 7, 12 ... days ago."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    builder = ProjectBuilder(tmp_path)
    builder.sms_journey("fresh")
    _segment(builder, 10)
    builder.sms_journey("everybody")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    for number in range(6):
        shop.order(shop.customer(f"customer-{number}"), DAY - timedelta(days=2 + 5 * number))
    return builder


def _segment(builder: ProjectBuilder, days: int, anchor: str = "min(orders.order_id)") -> None:
    builder.segment("fresh", "all", SEGMENT.format(days=days, anchor=anchor))


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_people_come_in_and_go_out_by_the_change(project: ProjectBuilder) -> None:
    _segment(project, 15)
    wider = differences.of_step("fresh/greet", "HEAD", DAY)
    assert (wider.before, wider.after, wider.entering, wider.leaving) == (2, 3, ("customer-2",), ())
    _segment(project, 5)
    narrower = differences.of_step("fresh/greet", "HEAD", DAY)
    assert (narrower.before, narrower.after, narrower.entering, narrower.leaving) == (2, 1, (), ("customer-1",))


def test_the_same_day_is_asked_of_both(project: ProjectBuilder) -> None:
    _segment(project, 15)
    earlier = differences.of_step("fresh/greet", "HEAD", DAY - timedelta(days=10))
    assert (earlier.before, earlier.after, earlier.entering) == (2, 3, ("customer-4",))


def test_a_change_costs_what_its_messages_cost(project: ProjectBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PART_CENTS", "7")
    _segment(project, 28)
    assert differences.of_step("fresh/greet", "HEAD", DAY).cents == 4 * 7
    project.template("fresh", "greet.sms.j2", "long " * 40 + "STOP to end")
    assert differences.of_step("fresh/greet", "HEAD", DAY).cents == 4 * 2 * 7
    _segment(project, 5)
    assert differences.of_step("fresh/greet", "HEAD", DAY).cents == -1 * 2 * 7


def test_who_stays_about_something_else_is_counted_apart(project: ProjectBuilder) -> None:
    _segment(project, 10, "'spring'")
    found = differences.of_step("fresh/greet", "HEAD", DAY)
    assert (found.entering, found.leaving, found.reanchored) == ((), (), ("customer-0", "customer-1"))


def test_it_says_how_many_other_journeys_pick_too(project: ProjectBuilder) -> None:
    _segment(project, 15)
    found = differences.of_step("fresh/greet", "HEAD", DAY)
    assert found.overlaps == (differences.Overlap("everybody/greet", 2, 3),)


def test_a_new_file_takes_everybody_in(project: ProjectBuilder, run: Run) -> None:
    project.sms_journey("brand_new")
    found = differences.of_step("brand_new/greet", "HEAD", DAY)
    assert (found.is_new, found.before, found.after, len(found.entering)) == (True, 0, 6, 6)
    answer = run("brand_new/greet", *AGAINST)
    assert "include/sql/journeys/brand_new/all.sql is new, so everybody is in" in answer.err


def test_without_a_step_every_changed_segment_is_compared(project: ProjectBuilder, run: Run) -> None:
    _segment(project, 15)
    project.sms_journey("brand_new")
    project.segment("fresh", "unused")
    answer = run(*AGAINST, "--format", "json")
    assert [(one["step"], one["in"]) for one in json.loads(answer.out)] == [("brand_new/greet", 6), ("fresh/greet", 1)]
    assert answer.err == "changed too, and no segment of a step: include/sql/journeys/fresh/unused.sql\n"


@pytest.mark.parametrize("form", ["table", "csv", "json", "markdown"])
def test_no_change_is_said_and_is_no_failure(project: ProjectBuilder, run: Run, form: str) -> None:
    answer = run(*AGAINST, "--format", form)
    assert answer.code == 0
    assert "no segment changed" in (answer.out + answer.err).lower()


def test_csv_lists_everybody_whom_the_change_touches(project: ProjectBuilder, run: Run) -> None:
    _segment(project, 15)
    lines = run("fresh/greet", *AGAINST, "--format", "csv").out.splitlines()
    assert lines == ["step,change,customer_id", "fresh/greet,in,customer-2"]


@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_a_report_masks_ids(project: ProjectBuilder, run: Run, form: str) -> None:
    _segment(project, 28)
    answer = run("fresh/greet", *AGAINST, "--format", form)
    assert answer.code == 0
    assert "cus…" in answer.out
    assert "customer-" not in answer.out


@pytest.mark.parametrize(("customer_id", "shown"), [("a", "a…"), ("C-12", "C-…"), ("customer-77", "cus…")])
def test_a_masked_id_is_never_the_whole_id(customer_id: str, shown: str) -> None:
    assert differences.masked(customer_id) == shown


def test_markdown_is_a_table_for_a_pull_request(project: ProjectBuilder, run: Run) -> None:
    _segment(project, 15)
    assert run(*AGAINST, "--format", "markdown").out.splitlines() == [
        "### Who is picked, against `HEAD`, on 2026-03-31",
        "",
        "| step | before | after | in | out | other anchor | SMS cost |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| `fresh/greet` | 2 | 3 | 1 | 0 | 0 | +0.05 |",
        "",
        "`include/sql/journeys/fresh/all.sql`",
        "",
        "- in: 1, such as `cus…`",
        "- out: 0",
        "- also picked by `everybody/greet` that day: 2 before, 3 after",
        "",
        "The SMS cost is the difference on that day in the currency of your price per part, before policy. "
        "Ids are cut off on purpose.",
    ]


def test_a_broken_old_file_is_named_with_its_revision(project: ProjectBuilder) -> None:
    project.segment("fresh", "all", "select 1 as customer_id from shop.orders as orders\n")
    _git(project.folder, "commit", "--quiet", "--all", "--message", "broken")
    _segment(project, 15)
    with pytest.raises(
        LifecycleError, match=r"^HEAD:include/sql/journeys/fresh/all\.sql: The column anchor is missing"
    ):
        differences.of_step("fresh/greet", "HEAD", DAY)


def test_a_revision_nobody_knows_is_one_line(project: ProjectBuilder, run: Run) -> None:
    for revision in ("nope", "--all", "HEAD:include"):
        answer = run(f"--against={revision}")
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert answer.err.startswith(f"error: git knows no revision {revision!r}.")


def test_a_folder_without_git_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    ProjectBuilder(tmp_path).sms_journey("fresh")
    answer = run("fresh/greet", "--against", "HEAD")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"{tmp_path} is not a git checkout." in answer.err
