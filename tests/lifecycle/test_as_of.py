"""The instant a run answers for: each local day of every zone starts once, whatever the clocks do."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from lifecycle.as_of import days_between, midnight, parse_day, run_day, zone_named
from lifecycle.errors import LifecycleError

FIRST, LAST = date(2024, 1, 1), date(2026, 12, 31)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})


def changing_days(zone: str) -> list[date]:
    """The days of three years on which a zone's clocks change, with the two on either side."""
    info = zoneinfo.ZoneInfo(zone)
    days = days_between(FIRST, LAST)
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=info).utcoffset() for day in days]
    places = [place for place in range(1, len(days)) if noons[place] != noons[place - 1]]
    return sorted({day for place in places for day in days[max(0, place - 2) : place + 3]})


def instant(day: date, zone: str) -> datetime:
    """A day's first instant in UTC, where a second is always a second."""
    return midnight(day, zone).astimezone(timezone.utc)


def test_every_day_around_a_clock_change_starts_once_in_every_zone() -> None:
    checked = 0
    for zone in ZONES:
        for day in changing_days(zone):
            start, end = instant(day, zone), instant(day + timedelta(days=1), zone)
            assert start < end, (zone, day)
            assert run_day(start, zone) == day, (zone, day)
            # One second earlier it was still the day before: no instant between two days, and none in both.
            assert run_day(start - timedelta(seconds=1), zone) == day - timedelta(days=1), (zone, day)
            assert run_day(end - timedelta(seconds=1), zone) == day, (zone, day)
            assert timedelta(hours=20) < end - start < timedelta(hours=28), (zone, day)
            checked += 1
    assert checked > 4_000


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"])
def test_three_years_of_days_follow_each_other(zone: str) -> None:
    starts = [midnight(day, zone) for day in days_between(FIRST, LAST)]
    assert all(one < other for one, other in pairwise(starts))
    assert [run_day(start, zone) for start in starts] == days_between(FIRST, LAST)


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2026, 3, 31), "Europe/London", "2026-03-30T23:00:00+00:00"),
        (date(2026, 1, 15), "Europe/London", "2026-01-15T00:00:00+00:00"),
        (date(2026, 3, 31), "Asia/Tokyo", "2026-03-30T15:00:00+00:00"),
        (date(2026, 3, 8), "America/New_York", "2026-03-08T05:00:00+00:00"),
        (date(2026, 3, 9), "America/New_York", "2026-03-09T04:00:00+00:00"),
        # Clocks jump over midnight: the day starts at one.
        (date(2025, 4, 25), "Africa/Cairo", "2025-04-24T22:00:00+00:00"),
        (date(2026, 3, 29), "Asia/Beirut", "2026-03-28T22:00:00+00:00"),
        # Midnight comes twice: the day starts at the first one. In Beirut it is the hour before that comes twice.
        (date(2026, 11, 1), "America/Havana", "2026-11-01T04:00:00+00:00"),
        (date(2026, 10, 25), "Asia/Beirut", "2026-10-24T22:00:00+00:00"),
    ],
)
def test_a_day_starts_at_its_first_local_instant(day: date, zone: str, instant: str) -> None:
    assert midnight(day, zone).astimezone(timezone.utc).isoformat() == instant


def test_a_day_is_written_one_way() -> None:
    assert parse_day(" 2026-03-31 ") == date(2026, 3, 31)


@pytest.mark.parametrize("text", ["", "today", "31.03.2026", "2026-02-30", "2026-13-01", "2026-3-1", "２０２６-03-31"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(LifecycleError, match=r"is not a day\. Write it as 2026-03-31\."):
        parse_day(text)


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "2201-01-01", "9999-12-31"])
def test_a_day_that_no_shop_has_is_refused(text: str) -> None:
    with pytest.raises(LifecycleError, match="is too far away"):
        parse_day(text)


def test_a_range_has_both_its_ends() -> None:
    assert days_between(date(2026, 2, 27), date(2026, 3, 1)) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]


def test_a_range_that_runs_backwards_or_for_ever_is_refused() -> None:
    with pytest.raises(
        LifecycleError, match=r"2026-03-02 to 2026-03-01 ends before it starts\. Swap --from and --to\."
    ):
        days_between(date(2026, 3, 2), date(2026, 3, 1))
    with pytest.raises(LifecycleError, match=r"is 40178 days long\. Ask for ten years at most\."):
        days_between(date(1990, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize("name", ["Europe/Londn", "+9", "", "../../etc/passwd", "Europe", "\x00"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(LifecycleError, match="There is no time zone"):
        zone_named(name)
