"""Replay equals what a person would compute by hand, in any zone and over the nights on which clocks change."""

from __future__ import annotations

import csv
import random
import re
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.conftest import PROJECT
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import csv_import, database, journeys, replay, runs
from lifecycle.errors import LifecycleError
from lifecycle.replay_picture import ReplayPicture
from lifecycle.replay_summary import COLUMNS, ReplaySummary

UCI = PROJECT.parent / "shared" / "data" / "uci"
STEPS = {30: "survey", 60: "contest", 90: "coupon"}
# On so many days the small shop's customers come; they are due on as many.
DAYS_OPEN = 8


def replayed(declared: Any, first: date, last: date) -> list[tuple[date, str, str, str]]:
    """Run day, step, customer and anchor of everybody the segments pick."""
    return [tuple(row[:4]) for row in replay.without_policy(declared, first, last)]  # type: ignore[misc]


def counts_of_all_tables() -> dict[str, int]:
    """How many rows every table of the engine and the shop holds."""
    with database.transaction() as connection:
        driver = database.driver(connection)
        tables = driver.execute(
            "select schemaname || '.' || tablename from pg_tables where schemaname in ('lifecycle', 'imported')"
        ).fetchall()
        return {table: driver.execute(f"select count(*) from {table}".encode()).fetchall()[0][0] for (table,) in tables}


@pytest.mark.needs_processors
@pytest.mark.skipif(not UCI.is_dir(), reason="the real data set is not at hand")
def test_the_whole_range_of_a_real_shop_gives_exactly_its_truth(empty_database: str) -> None:
    csv_import.import_folder(UCI, replace=False, shift_to_today=False)
    first, last = date(2010, 12, 1), date(2011, 12, 9)
    found = replayed(journeys.load("reactivation"), first, last)
    with (UCI / "truth" / "ladder_members.csv").open(newline="") as file:
        truth = {
            (row["run_day"], STEPS[int(row["step_days"])], row["customer_id"])
            for row in csv.DictReader(file)
            if row["run_day"] <= str(last)
        }
    assert {(str(day), step, customer) for day, step, customer, _ in found} == truth
    per_step = [sum(step == name for _, step, _, _ in found) for name in STEPS.values()]
    assert per_step == [8_641, 4_978, 3_231]


class SmallShop:
    """Customers whose orders and visits cluster around midnights, kept beside the database in plain lists."""

    def __init__(self, shop: Shop, zone: ZoneInfo, first: date) -> None:
        self.zone = zone
        self.seen: dict[str, list[datetime]] = {}
        self.orders: dict[str, list[tuple[datetime, str]]] = {}
        chance = random.Random(7)
        for number in range(60):
            customer = shop.customer(f"customer-{number:02d}")
            self.seen[customer], self.orders[customer] = [], []
            for _ in range(chance.randint(0, 4)):
                moment = self._moment(chance, first)
                self.orders[customer].append((moment, shop.order(customer, moment)))
                self.seen[customer].append(moment)
            for _ in range(chance.randint(0, 2)):
                moment = self._moment(chance, first)
                shop.visit(customer, moment)
                self.seen[customer].append(moment)

    def _moment(self, chance: random.Random, first: date) -> datetime:
        day = first + timedelta(days=chance.randint(0, DAYS_OPEN))
        start = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(timezone.utc)
        return start + chance.choice(
            [
                timedelta(0),
                timedelta(seconds=-1),
                timedelta(hours=1),
                timedelta(hours=23, minutes=59),
                timedelta(hours=3),
            ]
        )

    def due(self, first: date, last: date) -> list[tuple[date, str, str, str]]:
        """Who is due when, by the definition: the local date of the last sign of life lies 30, 60, 90 days back."""
        found = []
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            start = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(timezone.utc)
            for silence, step in STEPS.items():
                for customer in sorted(self.seen):
                    seen = [moment for moment in self.seen[customer] if moment < start]
                    orders = [order for order in self.orders[customer] if order[0] < start]
                    if seen and orders and max(seen).astimezone(self.zone).date() == day - timedelta(days=silence):
                        found.append((day, step, customer, max(orders)[1]))
        return found


# In the middle of those days clocks change: in New York, London, Cairo (at midnight) and Lord Howe (by half an hour). In
# Tokyo they never do.
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Asia/Tokyo", date(2026, 2, 1)),
        ("America/New_York", date(2026, 3, 4)),
        ("America/New_York", date(2025, 10, 29)),
        ("Europe/London", date(2026, 3, 25)),
        ("Africa/Cairo", date(2025, 4, 21)),
        ("Australia/Lord_Howe", date(2026, 4, 1)),
    ],
)
def test_any_shop_in_any_zone_gives_what_a_person_computes_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop, zone: str, first: date
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path, with_reactivation=True)
    dag = (project.folder / "dags/reactivation.py").read_text()
    project.write("dags/reactivation.py", dag.replace("Europe/London", zone))
    small = SmallShop(shop, ZoneInfo(zone), first)
    declared = journeys.load("reactivation")
    for silence, step in STEPS.items():
        since = first + timedelta(days=silence - 1)
        until = since + timedelta(days=DAYS_OPEN + 2)
        expected = small.due(since, until)
        assert sum(due[1] == step for due in expected) > 20
        assert replayed(declared, since, until) == expected


def test_the_zone_of_the_store_wins_over_the_zone_of_the_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_TIMEZONE", "Asia/Tokyo")
    assert journeys.load("reactivation").zone == "Asia/Tokyo"


@pytest.fixture
def silent_shop(shop: Shop) -> psycopg.Connection[Any]:
    """Two silent customers, one of whom came back on day 40, and one who did not agree to anything."""
    for name, phone in (("silent", "+33639980001"), ("back", "+33639980002"), ("refuser", "+33639980003")):
        shop.customer(name, phone=phone, sms_consent=name != "refuser")
        shop.order(name, date(2026, 3, 1))
    shop.order("back", date(2026, 4, 10))
    return shop.connection


def test_a_replay_with_policy_tells_the_whole_story_and_writes_nothing(silent_shop: Any) -> None:
    before = counts_of_all_tables()
    declared = journeys.load("reactivation")
    rows = list(replay.with_policy(declared, date(2026, 3, 20), date(2026, 6, 10)))
    assert replay.ReplayRow._fields == ("run_day", "step", "customer_id", "anchor", "outcome", "reason")
    story = [(str(row.run_day), row.step, row.customer_id, row.outcome, row.reason) for row in rows]
    assert story == [
        ("2026-03-31", "survey", "back", "would_send", ""),
        ("2026-03-31", "survey", "refuser", "skipped", "no_consent"),
        ("2026-03-31", "survey", "silent", "would_send", ""),
        ("2026-04-30", "contest", "refuser", "skipped", "no_consent"),
        ("2026-04-30", "contest", "silent", "would_send", ""),
        ("2026-05-10", "survey", "back", "would_send", ""),
        ("2026-05-30", "coupon", "refuser", "skipped", "no_consent"),
        ("2026-05-30", "coupon", "silent", "would_send", ""),
        ("2026-06-09", "contest", "back", "would_send", ""),
    ]
    assert counts_of_all_tables() == before


def test_whoever_is_past_the_entry_is_left_out_and_listed(silent_shop: Any) -> None:
    declared = journeys.load("reactivation")
    rows = list(replay.with_policy(declared, date(2026, 4, 15), date(2026, 5, 30)))
    assert {(row.step, row.customer_id, row.reason) for row in rows if row.outcome == "skipped"} == {
        ("contest", "silent", "past_entry"),
        ("contest", "refuser", "past_entry"),
        ("coupon", "silent", "past_entry"),
        ("coupon", "refuser", "past_entry"),
    }


def test_a_plan_writes_nothing_and_says_what_a_run_would_do(silent_shop: Any) -> None:
    before = counts_of_all_tables()
    declared = journeys.load("reactivation")
    rows = replay.plan(runs.for_day(declared.journey, date(2026, 3, 31), declared.zone))
    assert [(row.customer_id, row.outcome, row.reason) for row in rows] == [
        ("back", "would_send", ""),
        ("refuser", "skipped", "no_consent"),
        ("silent", "would_send", ""),
    ]
    assert counts_of_all_tables() == before


def test_a_replay_of_a_broken_range_is_refused(silent_shop: Any) -> None:
    declared = journeys.load("reactivation")
    for days in (replay.with_policy, replay.without_policy):
        with pytest.raises(LifecycleError, match="ends before it starts"):
            list(days(declared, date(2026, 3, 2), date(2026, 3, 1)))


def test_a_replay_that_is_left_halfway_writes_nothing(silent_shop: Any) -> None:
    before = counts_of_all_tables()
    rows: Any = replay.with_policy(journeys.load("reactivation"), date(2026, 3, 1), date(2026, 7, 1))
    next(rows)
    rows.close()
    assert counts_of_all_tables() == before


def test_the_past_of_a_journey_is_unharmed_by_its_replay(silent_shop: psycopg.Connection[Any]) -> None:
    silent_shop.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source) "
        "values ('sms', lifecycle.address_hash('+33639980001'), 'sunset', 'reactivation')"
    )
    list(replay.with_policy(journeys.load("reactivation"), date(2026, 3, 1), date(2026, 4, 15)))
    assert silent_shop.execute("select reason from lifecycle.suppressions").fetchall() == [("sunset",)]


def test_a_summary_says_what_each_step_would_do_and_who_needed_none_of_it(silent_shop: Any) -> None:
    before = counts_of_all_tables()
    declared = journeys.load("reactivation")
    summary = ReplaySummary(declared.journey)
    # `back` orders again ten days after the survey, inside the goal's 14 days; the survey of 10 May ends the range.
    list(replay.with_policy(declared, date(2026, 3, 20), date(2026, 5, 10), summary=summary))
    shown = {row[0]: dict(zip(COLUMNS[1:], row[1:], strict=True)) for row in summary.rows()}
    assert shown["survey"] == {
        "would_send": 3,
        "skipped": "no_consent 1",
        "came_back_anyway": 1,
        "sms_parts": 3,
        "cost": "0.15",
    }
    assert shown["contest"]["would_send"] == 1
    assert shown["contest"]["came_back_anyway"] == 0
    assert shown["coupon"] == {"would_send": 0, "skipped": "", "came_back_anyway": 0, "sms_parts": 0, "cost": "0.00"}
    assert counts_of_all_tables() == before


def test_who_comes_back_after_the_range_or_after_the_end_of_the_ladder_counts_too(silent_shop: Any) -> None:
    declared = journeys.load("reactivation")
    # The coupon of 30 May ends the ladder on the next day; six days later the person orders.
    silent_shop.execute(
        "insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency) "
        "values ('late', 'silent', '2026-06-05T12:00:00Z', 1000, 'GBP')"
    )
    summary = ReplaySummary(declared.journey)
    list(replay.with_policy(declared, date(2026, 3, 20), date(2026, 6, 1), summary=summary))
    assert {step.step: step.came_back_anyway for step in summary.steps.values()} == {
        "survey": 1,
        "contest": 0,
        "coupon": 1,
    }
    assert summary.steps["coupon"].cost_cents == 5 * summary.steps["coupon"].sms_parts


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_the_picture_shows_every_step_and_the_rows_pass_through(silent_shop: Any, tmp_path: Path, suffix: str) -> None:
    declared = journeys.load("reactivation")
    first, last = date(2026, 3, 20), date(2026, 6, 10)
    file = tmp_path / f"volume.{suffix}"
    picture = ReplayPicture(declared.journey, first, last, file)
    rows = list(picture.watching(replay.with_policy(declared, first, last)))
    assert len(rows) == 9
    picture.write()
    if suffix == "png":
        assert file.read_bytes().startswith(b"\x89PNG\r\n")
        return
    page = file.read_text()
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page.partition("<metadata>")[0])
    for shown in (
        "reactivation: messages per day, 2026-03-20 to 2026-06-10",
        "survey (3)",
        "contest (2)",
        "coupon (1)",
    ):
        assert shown in page


@pytest.mark.parametrize(("name", "what"), [("volume.gif", "is no picture"), ("nowhere/volume.png", "does not exist")])
def test_a_picture_that_cannot_be_written_is_refused_before_the_replay(tmp_path: Path, name: str, what: str) -> None:
    journey = journeys.load("reactivation").journey
    with pytest.raises(LifecycleError, match=what):
        ReplayPicture(journey, date(2026, 3, 1), date(2026, 3, 2), tmp_path / name)
