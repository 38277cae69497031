"""Nobody is picked from late or broken data (bad input 112)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.lifecycle.test_cli import Run
from tests.lifecycle.test_cli import run as run
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import journeys, runs, sources, stages
from lifecycle.errors import LifecycleError
from lifecycle.sources import SourceHeldError

TODAY = date(2026, 3, 31)
A_DAY = timedelta(days=1)


@dataclass
class Busy:
    """A shop with 30 orders and visits on every day, and the ladder that reads them."""

    shop: Shop
    declared: Any

    def fill(self, table: str, first: date, last: date) -> None:
        """Thirty facts at every noon from first to last."""
        columns, values = {
            "orders": (
                "order_id, customer_id, ordered_at, total_cents, currency",
                "day::date || '-' || n, 'ana', day, 1000, 'GBP'",
            ),
            "page_views": ("viewed_at, url, customer_id", "day, 'https://shop.example/', 'ana'"),
        }[table]
        noon = datetime.combine(first, time(12), timezone.utc)
        query = (
            f"insert into imported.{table} ({columns}) select {values} from generate_series(1, 30) as n, "
            "generate_series(%s::timestamptz, %s, interval '1 day') as day"
        )
        self.shop.connection.execute(query.encode(), (noon, noon + (last - first)))

    def context(self, day: date = TODAY, *, executed_on: date = TODAY) -> runs.RunContext:
        return runs.for_day(self.declared.journey, day, self.declared.zone, clock=executed_on)

    def check(self, day: date = TODAY, *, executed_on: date = TODAY) -> None:
        stages.check_sources(self.context(day, executed_on=executed_on))

    def execute(self, query: str) -> None:
        self.shop.connection.execute(query.encode())


@pytest.fixture
def busy(shop: Shop) -> Busy:
    """Forty busy days up to yesterday."""
    shop.customer("ana")
    busy = Busy(shop, journeys.load("reactivation"))
    for table in ("orders", "page_views"):
        busy.fill(table, TODAY - 40 * A_DAY, TODAY - A_DAY)
    return busy


def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str) -> Any:
    """A journey of one SMS whose segment reads orders."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey("hello", more=more)
    project.segment("hello", "all", "select orders.customer_id, orders.order_id as anchor from shop.orders as orders")
    return journeys.load("hello")


def test_the_sources_of_a_journey_are_found_in_its_sql(busy: Busy) -> None:
    # Through shop.activities: nobody typed that the ladder reads visits.
    assert sources.names_of(busy.declared.journey) == ["orders", "page_views"]


def test_what_is_recommended_is_read_from_sources_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    seen = "select audience.customer_id, audience.anchor, v.url as item_id, 1 as place from audience cross join shop.page_views as v"
    project.write("include/sql/recommendations/seen.sql", seen)
    project.sms_journey("hello", step=', recommendations=("seen",)')
    project.segment(
        "hello", "all", "select reviews.customer_id, reviews.review_id as anchor from shop.reviews as reviews"
    )
    assert sources.names_of(journeys.load("hello").journey) == ["page_views", "reviews"]


def test_a_source_that_came_in_time_holds_nothing(busy: Busy) -> None:
    busy.check()


def test_a_late_source_holds_the_journey_with_one_line(busy: Busy) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-29'")
    with pytest.raises(SourceHeldError) as late:
        busy.check()
    line = str(late.value)
    assert "reactivation waits for its sources: orders is late: its newest fact is of 2026-03-28" in line
    assert "59 hours before the run's midnight, and 48 are allowed" in line
    assert "lifecycle sources reactivation --as-of 2026-03-31 --accept" in line
    assert "\n" not in line
    # As soon as the orders are there it goes on.
    busy.fill("orders", TODAY - 2 * A_DAY, TODAY - A_DAY)
    busy.check()


def test_a_past_day_is_complete_when_anything_newer_is_known(busy: Busy) -> None:
    busy.execute("delete from imported.orders where ordered_at between '2026-03-10' and '2026-03-20'")
    busy.check(date(2026, 3, 19))


def test_a_fact_from_the_future_proves_nothing(busy: Busy) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-29'")
    busy.shop.order("ana", date(2099, 1, 1))
    with pytest.raises(SourceHeldError, match="orders is late"):
        busy.check()


def test_a_small_or_quiet_shop_is_never_late(shop: Shop) -> None:
    shop.customer("ana")
    shop.order("ana", TODAY - 30 * A_DAY)
    Busy(shop, journeys.load("reactivation")).check()


def test_a_run_that_is_repaired_late_needs_what_it_knows_since(busy: Busy) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-29'")
    journey, zone = busy.declared.journey, busy.declared.zone
    with pytest.raises(SourceHeldError, match="orders is late"):
        stages.check_sources(runs.for_day(journey, date(2026, 3, 27), zone, today=TODAY, clock=TODAY))


def test_a_source_that_shrank_holds_until_a_person_says_it_is_right(busy: Busy, run: Run) -> None:
    busy.check()
    busy.execute("delete from imported.page_views where viewed_at < '2026-03-01'")
    for _ in range(2):
        with pytest.raises(SourceHeldError, match="page_views shrank: 900 rows, 1,200 at the last run"):
            busy.check()
    assert "page_views" in run("sources", "reactivation", "--as-of", str(TODAY)).out
    run("sources", "reactivation", "--as-of", str(TODAY), "--accept")
    busy.check()
    busy.check(TODAY + A_DAY, executed_on=TODAY + A_DAY)


def test_a_source_that_lost_its_values_holds(busy: Busy) -> None:
    busy.execute("alter table imported.orders alter customer_id drop not null")
    busy.check()
    busy.execute("update imported.orders set customer_id = null where ordered_at > '2026-03-26'")
    with pytest.raises(SourceHeldError, match="orders lost values: 12% of the newest rows have no customer_id, 0% at"):
        busy.check()


def test_a_late_source_that_a_person_accepted_counts_for_that_day_only(busy: Busy, run: Run) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-29'")
    run("sources", "reactivation", "--as-of", str(TODAY), "--accept")
    busy.check()
    with pytest.raises(SourceHeldError, match="orders is late"):
        busy.check(TODAY + A_DAY, executed_on=TODAY + A_DAY)


def test_a_journey_says_how_old_a_source_may_be(busy: Busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-29'")
    busy.declared = declared(tmp_path, monkeypatch, ', sources_within={"orders": pendulum.duration(hours=72)}')
    busy.check()
    with pytest.raises(SourceHeldError, match="and 72 are allowed"):
        busy.check(TODAY + A_DAY, executed_on=TODAY + A_DAY)


def test_a_named_source_is_late_however_quiet_it_is(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.customer("ana")
    quiet = Busy(shop, declared(tmp_path, monkeypatch, ', sources_within={"orders": pendulum.duration(hours=72)}'))
    with pytest.raises(SourceHeldError, match="orders is empty"):
        quiet.check()


def test_a_transactional_journey_is_not_held_by_what_it_does_not_name(
    busy: Busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-20'")
    busy.declared = declared(tmp_path, monkeypatch, ', kind="transactional"')
    busy.check()


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ('{"order": pendulum.duration(hours=9)}', "There is no source 'order'. Did you mean 'orders'"),
        ("0", "has sources_within=0"),
        ('{"orders": 48}', "has sources_within=48"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, line: str
) -> None:
    with pytest.raises(LifecycleError, match=line):
        declared(tmp_path, monkeypatch, f", sources_within={value}")


def test_the_command_line_fails_at_once_and_nothing_is_selected(busy: Busy, run: Run) -> None:
    busy.execute("delete from imported.orders where ordered_at > '2026-03-20'")
    # The newest fact of all is older than the day that is played.
    assert "orders is late" in run("run", "reactivation", "--as-of", str(TODAY)).error()
    found = busy.shop.connection.execute("select count(*) from lifecycle.selections").fetchone()
    assert found == (0,)
