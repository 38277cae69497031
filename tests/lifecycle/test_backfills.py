"""Backfills: what will be done is said before; ranges that make no sense are refused. Airflow itself: tests/e2e."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
from tests.lifecycle.test_missed_days import Ladder
from tests.shop import Shop

from lifecycle import backfills, journeys
from lifecycle.errors import LifecycleError

NOW = datetime(2026, 3, 8, 12, tzinfo=timezone.utc)


def test_the_plan_says_per_day_what_the_repair_will_do_and_writes_nothing(shop: Shop) -> None:
    for number, day in enumerate((1, 2, 4)):
        shop.customer(f"silent-{number}")
        shop.order(f"silent-{number}", date(2026, 2, day))
    shop.customer("back")
    shop.order("back", date(2026, 2, 4))
    shop.order("back", date(2026, 3, 7))
    ladder = Ladder(shop)
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    days = backfills.days_of(ladder.declared, date(2026, 3, 2), date(2026, 3, 7), NOW)
    planned = {day.run_day.day: day for day in backfills.plan(ladder.declared, days, NOW)}
    assert [day for day in planned if planned[day].outcomes["stale"]] == [3, 4]
    assert (planned[6].sends, planned[6].other_skips) == (1, 1)
    assert ladder.decisions() == {}
    assert backfills.done_days(ladder.declared, days) == set()
    for day in days:
        ladder.run(day, today=NOW.date())
    assert sorted(ladder.decisions().values()) == ["converted", "send", "stale", "stale"]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (date(2026, 3, 2), date(2026, 3, 1), "ends before it starts"),
        (date(2026, 3, 2), date(2026, 3, 9), "2026-03-09 has not come yet for reactivation. Give --to 2026-03-08"),
        (date(2012, 3, 2), date(2026, 3, 1), "days long"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(first: date, last: date, said: str) -> None:
    with pytest.raises(LifecycleError, match=said):
        backfills.days_of(journeys.load("reactivation"), first, last, NOW)
