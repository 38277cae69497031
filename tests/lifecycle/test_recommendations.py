"""Recommendations (C-03, C-04), and a segment's own reason to skip somebody (J-05)."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import as_of, checks, cli, database, journeys, previews, replay, runs, segments, stages, why
from lifecycle.errors import LifecycleError

DAY = date(2026, 3, 31)
FOUND = (
    "select audience.customer_id, audience.anchor, items.item_id, items.place, items.item_id as name from audience "
    "cross join (values {values}) as items (item_id, place) where audience.customer_id <> '{without}'\n"
)
TEXT = "{% for item in recommendations %}{{ item.name }} {% else %}nothing {% endfor %}STOP to end"


class Lab:
    """One journey with an SMS to everybody, and recommendation files of its own."""

    def __init__(self, project: ProjectBuilder) -> None:
        self.project = project

    def journey(self, *files: str, segment: str | None = None, sms: str = TEXT) -> Any:
        step = f", recommendations={files!r}" if files else ""
        self.project.sms_journey(step=step, sms=sms)
        if segment:
            self.project.segment("hello", "all", segment)
        return journeys.load("hello")

    def file(self, name: str, values: str = "('p', 1)", without: str = "", text: str = "") -> None:
        made = text or FOUND.format(values=values, without=without)
        self.project.write(f"include/sql/recommendations/{name}.sql", made)

    def listed(self, declared: Any) -> dict[str, list[str]]:
        with database.transaction() as connection:
            database.set_as_of(connection, as_of.midnight(DAY, declared.zone), declared.zone)
            step = declared.journey.steps[0]
            segments.check(connection, declared.journey, step)
            people = list(segments.audience(connection, declared.journey, step))
        return {one.customer_id: [item["name"] for item in one.variables["recommendations"]] for one in people}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Lab:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    for person in ("ana", "ben"):
        shop.customer(person)
    return Lab(ProjectBuilder(tmp_path))


def test_files_are_asked_in_order_until_a_person_has_three_and_no_item_comes_twice(lab: Lab) -> None:
    lab.file("first", "('a', 2), ('b', 1)", without="ben")
    lab.file("second", "('b', 1), ('c', 2), ('d', 3), ('e', 4)")
    assert lab.listed(lab.journey("first", "second")) == {"ana": ["b", "a", "c"], "ben": ["b", "c", "d"]}


def test_a_file_is_not_asked_about_people_who_have_enough(lab: Lab) -> None:
    lab.file("first", "('a', 1), ('b', 2), ('c', 3)", without="ben")
    # For ana it would divide by zero.
    lab.file("second", text=FOUND.format(values="('d', 1)", without="").replace(
        "items.place,", "items.place / (case when audience.customer_id = 'ana' then 0 else 1 end) as place,"))  # fmt: skip
    assert lab.listed(lab.journey("first", "second")) == {"ana": ["a", "b", "c"], "ben": ["d"]}


def test_nobody_to_recommend_to_and_nothing_to_recommend_are_empty_lists(lab: Lab) -> None:
    lab.file("first", without="ana")
    assert lab.listed(lab.journey("first")) == {"ana": [], "ben": ["p"]}
    nobody = "select customers.customer_id, 'x' as anchor from shop.customers as customers where customers.city = 'X'\n"
    assert lab.listed(lab.journey("first", segment=nobody)) == {}


def test_a_run_keeps_what_was_recommended_and_every_way_to_look_shows_it(lab: Lab, shop: Shop) -> None:
    lab.file("first", without="ana")
    declared = lab.journey("first")
    assert checks.problems("hello") == []
    (label,) = [one for one in checks.labels("hello") if "recommendations" in one.file]
    assert label.label == "exact"
    assert {preview.message.text for preview in previews.previews(declared, declared.journey.steps[0], DAY, None)} == {
        "<name> <name> STOP to end"
    }
    shown = CliRunner().invoke(cli.cli, ["audience", "hello/greet", "--as-of", "2026-03-31", "--format", "json"])
    assert [row["recommendations"] for row in json.loads(shown.stdout)] == [[], [{"name": "p"}]]
    context = runs.for_day(declared.journey, DAY, declared.zone)
    assert {(row.customer_id, row.outcome) for row in replay.plan(context)} == {
        ("ana", "would_send"),
        ("ben", "would_send"),
    }
    # Two days in one transaction.
    assert len(list(replay.with_policy(declared, DAY, date(2026, 4, 1)))) == 4
    for _ in range(2):
        stages.record_conversions(context)
        stages.select_audience(context, declared.journey.steps[0])
        stages.queue_messages(context, declared.journey.steps[0], [])
    kept = shop.connection.execute(
        "select customer_id, variables from lifecycle.messages order by customer_id"
    ).fetchall()
    assert kept == [("ana", {"recommendations": []}), ("ben", {"recommendations": [{"name": "p"}]})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select audience.customer_id, audience.anchor, 'p' as item_id from audience", "The column place is missing"),
        ("select customer_id, anchor, 'p' as item_id, 1 as place from lifecycle.audiences", "is not part of the contract"),
        ("select a.customer_id, a.anchor, 'p' as item_id, 1 as place, 'x' as name from audience as a cross join generate_series(1, 2)", "2 of 4 rows repeat an item"),
        ("select a.customer_id, a.anchor, null as item_id, 1 as place, 'x' as name from audience as a", "2 of 2 rows lack customer_id, anchor, item_id or place"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_its_contract_is_one_line(lab: Lab, shop: Shop, text: str, said: str) -> None:
    shop.order("ana", date(2026, 3, 1))
    lab.file("first", text=text)
    lab.journey("first")
    (problem,) = checks.problems("hello")
    assert said in problem.what
    assert str(problem.file).endswith("recommendations/first.sql")


@pytest.mark.parametrize("name", ["item_id", "place"])
def test_a_row_that_lacks_something_stops_a_run_with_one_line(lab: Lab, name: str) -> None:
    given = {"item_id": "'p'", "place": "1"} | {name: "nullif(1, 1)"}
    items = ", ".join(f"{value} as {column}" for column, value in given.items())
    lab.file("first", text=f"select a.customer_id, a.anchor, {items}, 'x' as name from audience as a")
    declared = lab.journey("first")
    with pytest.raises(LifecycleError, match=f"first.sql: A row has no {name}. Leave such rows out"):
        lab.listed(declared)


def test_only_a_recommendation_file_reads_the_audience(lab: Lab) -> None:
    lab.journey(segment="select audience.customer_id, audience.anchor from audience\n", sms="STOP to end")
    (problem,) = checks.problems("hello")
    assert "audience is not part of the contract" in problem.what


@pytest.mark.parametrize(
    ("sms", "said"),
    [
        (
            "{% for item in recommendations %}{{ item.nmae }}{% endfor %} STOP",
            "There is no recommendations field 'nmae'",
        ),
        ("{% for item in recommendations[:2] %}{{ item.price }}{% endfor %} STOP", "There is no recommendations field"),
        ("{% for item in reviews %}{{ item.name }}{% endfor %} STOP", "There is no variable 'reviews'"),
    ],
)
def test_a_template_prints_only_what_the_items_have(lab: Lab, sms: str, said: str) -> None:
    lab.file("first")
    lab.journey("first", sms=sms)
    (problem,) = checks.problems("hello")
    assert said in problem.what


def test_a_step_names_files_that_exist(lab: Lab) -> None:
    lab.file("first")
    with pytest.raises(LifecycleError, match="which does not exist"):
        lab.journey("frist")
    lab.project.sms_journey(step=', recommendations="first"')
    with pytest.raises(LifecycleError, match="recommendations='first'"):
        journeys.load("hello")


# --- skip_reason ------------------------------------------------------------------------------------------------------

SKIPPED = (
    "select customers.customer_id, 'x' as anchor, case when customers.customer_id = 'ana' then '{reason}' end as skip_reason "
    "from shop.customers as customers\n"
)


def test_a_segment_says_why_somebody_who_is_due_gets_nothing(lab: Lab, shop: Shop) -> None:
    """The word is recorded as the reason, `why` names it, and nothing is recommended to them."""
    lab.file("first")
    declared = lab.journey("first", segment=SKIPPED.format(reason="nothing_to_teach"))
    assert checks.problems("hello") == []
    assert lab.listed(declared) == {"ana": [], "ben": ["p"]}
    before = why.explain([declared], "ana", DAY, as_of.midnight(DAY, "UTC"))
    assert ("skipped", "nothing_to_teach") in {(row["result"], row["value"]) for row in before}
    context = runs.for_day(declared.journey, DAY, declared.zone)
    stages.record_conversions(context)
    stages.select_audience(context, declared.journey.steps[0])
    assert stages.queue_messages(context, declared.journey.steps[0], []) == {
        "queued": 1,
        "skipped: nothing_to_teach": 1,
    }
    kept = shop.connection.execute("select variables ? 'skip_reason' from lifecycle.messages").fetchall()
    assert kept == [(False,), (False,)]
    rules = {row["rule"]: row["result"] for row in why.explain([declared], "ana", DAY, as_of.midnight(DAY, "UTC"))}
    assert rules["nothing_to_teach"] == "applies"
    rules = {row["rule"]: row["result"] for row in why.explain([declared], "ben", DAY, as_of.midnight(DAY, "UTC"))}
    assert rules["skip_reason"] == "passes"


def test_who_is_skipped_at_a_step_is_not_superseded_by_it(lab: Lab, shop: Shop) -> None:
    steps = 'Step("greet", segment="all.sql", message=Sms("greet")), Step("later", segment="later.sql", message=Sms("greet"))'
    lab.journey(segment=SKIPPED.format(reason="not_yet").replace("'ana'", "'nobody'"), sms="STOP to end")
    lab.project.dag("hello", f'Journey(name="hello", steps=[{steps}], entry="at_their_age")')
    lab.project.segment("hello", "later", SKIPPED.format(reason="not_yet"))
    declared = journeys.load("hello")
    planned = {row[1:3] + row[4:] for row in replay.plan(runs.for_day(declared.journey, DAY, declared.zone))}
    assert planned == {
        ("greet", "ana", "would_send", ""),
        ("later", "ana", "skipped", "not_yet"),
        ("greet", "ben", "skipped", "superseded"),
        ("later", "ben", "would_send", ""),
    }


def test_a_reason_is_a_short_word(lab: Lab) -> None:
    declared = lab.journey(segment=SKIPPED.format(reason="Nothing to teach"), sms="STOP to end")
    with pytest.raises(LifecycleError, match="'Nothing to teach' is no short word"):
        stages.select_audience(runs.for_day(declared.journey, DAY, declared.zone), declared.journey.steps[0])


def test_a_reason_is_no_variable_of_the_template(lab: Lab) -> None:
    lab.journey(segment=SKIPPED.format(reason="not_yet"), sms="{{ skip_reason }} STOP")
    (problem,) = checks.problems("hello")
    assert "There is no variable 'skip_reason'" in problem.what
