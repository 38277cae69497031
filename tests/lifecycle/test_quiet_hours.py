"""Quiet hours: on every person's own clock, also in the nights of a clock change, marketing waits for the morning."""

from __future__ import annotations

import random
import zoneinfo
from datetime import datetime, time, timedelta, timezone
from typing import Any, cast

import pytest
from tests.lifecycle.test_policy import DAY, Office, office
from tests.shop import Shop

from lifecycle import deferred, settings
from lifecycle.errors import LifecycleError

__all__ = ["office"]

WINDOWS = ["21:00-08:00", "22:30-02:30", "01:30-02:15", "00:00-09:00", "08:00-07:59"]


def around(shop: Shop, from_hours: float, until_hours: float, zone: str = "Europe/London") -> str:
    """Quiet hours that begin and end so many hours from now on the clock of a zone."""
    found = shop.connection.execute(
        "select to_char(now() at time zone %s + make_interval(mins => %s), 'HH24:MI'), "
        "to_char(now() at time zone %s + make_interval(mins => %s), 'HH24:MI')",
        (zone, round(from_hours * 60), zone, round(until_hours * 60)),
    ).fetchone()
    assert found
    return f"{found[0]}-{found[1]}"


def message(office: Office, column: str) -> Any:
    found = office.shop.connection.execute(f"select {column} from lifecycle.messages".encode()).fetchone()
    assert found
    return found[0]


def test_a_message_at_night_waits_for_the_morning_and_is_sent_then(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(office.shop, -2, 2, "Europe/Paris"))
    office.journey("news")
    office.plan("news")
    assert office.send("news") == {"deferred": 1}
    assert office.provider.received == []
    assert message(office, "send_state") == "queued"
    assert message(office, "send_after - now() between interval '110 minutes' and interval '121 minutes'")
    assert office.send("news") == {}
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(office.shop, -4, -1, "Europe/Paris"))
    office.shop.connection.execute("update lifecycle.messages set send_after = now()")
    assert office.send("news") == {"accepted": 1}


def test_what_is_due_again_of_any_journey_is_sent_with_the_run_that_planned_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.shop.customer("zoe", phone="+33639980002")
    quiet = around(office.shop, -2, 2, "Europe/Paris")
    for name, day in (("news", DAY), ("offers", DAY + timedelta(days=1))):
        office.journey(name)
        office.plan(name, day)
        monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", quiet)
        assert office.send(name, day) == {"deferred": 2}
    assert deferred.send(lambda _: cast("Any", office.provider)) == {}
    office.shop.connection.execute("update lifecycle.messages set send_after = now() where customer_id = 'ana'")
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", "off")
    sent = deferred.send(lambda _: cast("Any", office.provider))
    assert sent == {"news/greet": {"accepted": 1}, "offers/greet": {"accepted": 1}}
    assert office.outcomes("news") == {("ana", "accepted", None), ("zoe", "queued", None)}


def test_a_journey_that_does_not_load_keeps_nobody_else_waiting(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, day in (("news", DAY), ("offers", DAY + timedelta(days=1))):
        office.journey(name)
        office.plan(name, day)
    office.shop.connection.execute("update lifecycle.messages set send_after = now()")
    (office.project.folder / "dags" / "news.py").unlink()
    with pytest.raises(LifecycleError, match="no journey 'news'"):
        deferred.send(lambda _: cast("Any", office.provider))
    assert office.outcomes("offers") == {("ana", "accepted", None)}


def test_what_the_night_holds_back_too_long_is_skipped(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(office.shop, -2, 2, "Europe/Paris"))
    office.journey("news")
    office.plan("news")
    office.shop.connection.execute("update lifecycle.messages set send_before = now() + interval '1 hour'")
    assert office.send("news") == {"skipped: quiet_hours_expired": 1}


def test_nothing_is_sent_after_its_time(office: Office) -> None:
    office.journey("news")
    office.plan("news")
    # Three days after its own one: the end of the last of them.
    left = message(office, "send_before - planned_at")
    assert timedelta(days=3) < left <= timedelta(days=4, hours=1)
    office.shop.connection.execute("update lifecycle.messages set send_before = now()")
    assert office.send("news") == {"skipped: stale": 1}


def test_a_transactional_message_goes_at_any_hour(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(office.shop, -2, 2, "Europe/Paris"))
    office.journey("shipped", ', kind="transactional"')
    office.plan("shipped", DAY)
    assert office.send("shipped") == {"accepted": 1}


@pytest.mark.parametrize(
    ("own", "phone", "zone"),
    [
        ("Asia/Tokyo", "+33639980001", "Asia/Tokyo"),
        ("Asia/Calcuta", "+33639980001", "Europe/Paris"),
        (None, "+12125550100", "America/New_York"),
        (None, "+13105550100", "America/Los_Angeles"),
        (None, "+819012345678", "Asia/Tokyo"),
        (None, None, "Europe/London"),
        ("", "+00", "Europe/London"),
    ],
)
def test_the_zone_is_the_persons_else_the_phones_else_the_stores(
    shop: Shop, own: str | None, phone: str | None, zone: str
) -> None:
    found = shop.connection.execute("select lifecycle.zone_of(%s, %s, 'Europe/London')", (own, phone)).fetchone()
    assert found == (zone,)


@pytest.mark.needs_processors
def test_no_instant_of_any_zone_is_moved_into_the_quiet_hours(shop: Shop) -> None:
    numbers = random.Random(3)
    zones = [zone for (zone,) in shop.connection.execute("select zone from lifecycle.zones order by zone")]
    zones = [zone for zone in zones if zone in zoneinfo.available_timezones()]
    changes = _clock_changes(zones)
    start = datetime(2025, 1, 1, tzinfo=timezone.utc)
    instants = [
        (numbers.choice(zones), start + timedelta(minutes=numbers.randrange(3 * 525_600))) for _ in range(16_000)
    ] + [(zone, at + timedelta(minutes=numbers.randrange(-900, 300))) for zone, at in changes for _ in range(14)]
    assert len(zones) > 400
    assert len(instants) > 20_000
    # The wall clock is Postgres' own: Python may carry the zones of another year, in which a country still changed its.
    moved = shop.connection.execute(
        "select given.*, moved.at, (moved.at at time zone given.zone)::time "
        "from unnest(%s::text[], %s::timestamptz[], %s::time[], %s::time[]) "
        "as given (zone, at, quiet_from, quiet_until) "
        "cross join lateral (select lifecycle.next_allowed(given.at, given.zone, given.quiet_from, given.quiet_until) "
        "as at offset 0) as moved",
        (*map(list, zip(*instants, strict=True)), *_windows(numbers, len(instants))),
    ).fetchall()
    wrong = [row for row in moved if row[4] is None or not row[1] <= row[4] <= row[1] + timedelta(hours=49)]
    wrong += [row for row in moved if row[4] and _is_quiet(row[5], row[2], row[3])]
    assert wrong[:3] == []


def _windows(numbers: random.Random, count: int) -> tuple[list[str], list[str]]:
    chosen = [numbers.choice(WINDOWS).split("-") for _ in range(count)]
    return [first for first, _ in chosen], [last for _, last in chosen]


def _clock_changes(zones: list[str]) -> list[tuple[str, datetime]]:
    """The instants of 2026 at which a zone's clock changes, to the hour."""
    hours = [datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(hours=12 * number) for number in range(730)]
    found = []
    for zone in zones:
        offsets = [hour.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset() for hour in hours]
        found += [(zone, hours[place]) for place in range(1, len(hours)) if offsets[place] != offsets[place - 1]]
    return found


def _is_quiet(at: time, first: time, last: time) -> bool:
    return first <= at < last if first < last else at >= first or at < last


@pytest.mark.parametrize("text", ["21-08", "25:00-08:00", "08:00-08:00", "evening", "21:00"])
def test_quiet_hours_that_make_no_sense_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", text)
    with pytest.raises(LifecycleError, match="LIFECYCLE_QUIET_HOURS"):
        settings.quiet_hours()


def test_quiet_hours_are_off_until_real_people_are_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.quiet_hours() is None
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    assert [str(at) for at in settings.quiet_hours() or ()] == ["21:00:00", "08:00:00"]
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", "off")
    assert settings.quiet_hours() is None
