"""By its schedule each local day of every zone runs exactly once, whatever the clocks do (reliability G13)."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise

from lifecycle import journeys, runs, schedules
from lifecycle.as_of import days_between, midnight

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
FIRST, LAST = date(2024, 1, 1), date(2026, 12, 31)


def test_a_daily_schedule_names_each_day_of_three_years_once() -> None:
    days = days_between(FIRST, LAST)
    for cron in ("0 10 * * *", "30 0 * * *", "30 2 * * *", "59 23 * * *"):
        assert schedules.run_days(cron, FIRST, LAST) == days


def test_in_every_zone_each_day_is_the_last_one_from_its_hour_to_the_next() -> None:
    """Asked before and after ten, on all days around a clock change: the day before, then the day itself."""
    journey = journeys.load("reactivation").journey
    assert len(ZONES) > 400
    for zone in ZONES:
        info = zoneinfo.ZoneInfo(zone)
        noons = [datetime(day.year, day.month, day.day, 12, tzinfo=info) for day in days_between(FIRST, LAST)]
        changes = {noon.date() for before, noon in pairwise(noons) if before.utcoffset() != noon.utcoffset()}
        for day in sorted({one + timedelta(days=near) for one in [*changes, FIRST, LAST] for near in (-1, 0, 1)}):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=info).astimezone(timezone.utc)
            # At half past two the clocks of many zones jump, at half past midnight those of some.
            for cron in ("0 10 * * *", "30 2 * * *", "30 0 * * *"):
                assert schedules.last_run_day(cron, zone, noon) == day, (cron, zone, day)
            start = midnight(day, zone).astimezone(timezone.utc)
            assert schedules.last_run_day("0 10 * * *", zone, start) == day - timedelta(days=1), (zone, day)
            for now in (start, noon):
                context = runs.executed_now(journey, day, zone, now=now)
                assert (context.run_day, context.late_days, context.as_of) == (day, 0, midnight(day, zone)), (zone, day)
