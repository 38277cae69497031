"""Loyalty mails (J-27): welcome, statement, reward reached, tier up, tier ending, points expiring; each once, in two languages."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from lifecycle import loyalty, programmes
from tests.journey_runner import JourneyRunner
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

JOINED = date(2026, 3, 10)


@pytest.fixture
def runner() -> JourneyRunner:
    return JourneyRunner("loyalty_mails", today=JOINED)


def accrue(first: date, last: date) -> None:
    loyalty.accrue(programmes.only(), first, last)


def run(runner: JourneyRunner, *days: date) -> None:
    """Accrue each night what happened until then, and run the journey in the morning, as the two Dags do."""
    for day in days:
        accrue(JOINED, day - timedelta(days=1))
        runner.today = day
        runner.run(day)


def told(shop: Shop, customer: str) -> list[tuple[Any, ...]]:
    """What somebody was told, and what was left out for something better."""
    return shop.connection.execute(
        "select run_day, step, anchor, coalesce(reason, send_state) from lifecycle.messages where customer_id = %s "
        "order by run_day, step",
        [customer],
    ).fetchall()


def test_a_member_is_told_each_thing_once_and_the_most_useful_of_a_day(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    """L-04: joining is free and explicit. J-27: enrolment, reward reachable, tier, balance."""
    shop.customer("ana", email="ana@example.com", first_name="Ana")
    shop.customer("hana", email="hana@example.com", locale="ja")
    shop.customer("refuser", email="refuser@example.com", email_consent=False)
    for who in ("ana", "hana", "refuser"):
        shop.event(who, "joined_list", JOINED)
    shop.order("ana", date(2026, 3, 12), total_cents=2_000)
    shop.order("ana", date(2026, 3, 20), total_cents=200_000)
    run(runner, *(date(2026, 3, day) for day in (11, 12, 13, 21, 22)), date(2026, 4, 1))
    run(runner, date(2026, 3, 21), date(2026, 4, 1))
    assert told(shop, "ana") == [
        # Joining gave points for a reward at once: one mail a day, and the welcome tells of the points.
        (date(2026, 3, 11), "reward_reachable", "clean_water 2026-03-10", "superseded"),
        (date(2026, 3, 11), "welcome", "joined", "accepted"),
        (date(2026, 3, 13), "reward_reachable", "twenty_percent 2026-03-12", "accepted"),
        (date(2026, 3, 21), "reward_reachable", "tote_bag 2026-03-20", "superseded"),
        (date(2026, 3, 21), "tier_up", "platinum 2026-03-21", "accepted"),
        (date(2026, 4, 1), "balance", "2026-04", "accepted"),
    ]
    assert [message["subject"] for message in sandbox.messages("ana@example.com")] == [
        "Welcome to the programme, Ana",
        "Your points are enough for 20% off your next order",
        "You are a Platinum member now",
        "You have 20300 points",
    ]
    rise, statement = [message["text"] for message in sandbox.messages("ana@example.com")][2:]
    assert "It brings you 50% off every order, free shipping, entries in our draws." in rise
    assert "You have 20300 points and are a Platinum member." in statement
    assert "That is enough for every reward we have." in statement
    assert [message["subject"] for message in sandbox.messages("hana@example.com")] == [
        "ポイントプログラムへようこそ",
        "現在のポイントは100ポイントです",
    ]
    assert "あと100ポイントで「次回20% OFF」と交換できます。" in sandbox.messages("hana@example.com")[1]["text"]
    assert sandbox.messages("refuser@example.com") == []
    assert not any("None" in message["text"] + message["html"] for message in sandbox.messages())


def test_whoever_may_lose_something_is_told_before(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J-27: a tier that ends in two weeks, and points that expire in the next month, which are the last to be left out."""
    monkeypatch.setenv("LIFECYCLE_POINTS_EXPIRE_DAYS", "365")
    shop.customer("ana", email="ana@example.com")
    shop.customer("ben", email="ben@example.com", locale="ja")
    for who in ("ana", "ben"):
        shop.order(who, JOINED, total_cents=30_000)
    # Joins on the day before points are said to expire: that is told, the welcome is not.
    shop.event("ben", "joined_list", date(2027, 2, 14))
    run(runner, date(2027, 2, 15), date(2027, 2, 25), date(2027, 2, 26))
    run(runner, date(2027, 2, 25))
    assert told(shop, "ana") == [
        (date(2027, 2, 15), "expiring", "2027-03", "accepted"),
        (date(2027, 2, 25), "tier_ends", "silver until 2027-03-10", "accepted"),
    ]
    assert [message["subject"] for message in sandbox.messages("ana@example.com")] == [
        "3000 points end by 2027-03-31",
        "Stay a Silver member",
    ]
    assert "2000 more points until then, and you stay one." in sandbox.messages("ana@example.com")[1]["text"]
    assert told(shop, "ben")[0] == (date(2027, 2, 15), "expiring", "2027-03", "accepted")
    assert (date(2027, 2, 15), "welcome", "joined", "superseded") in told(shop, "ben")
    assert "あと1900ポイントで、シルバー会員を継続できます。" in sandbox.messages("ben@example.com")[1]["text"]


def test_a_night_without_accrual_is_made_up_for_by_running_the_day_again(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    shop.customer("ana", email="ana@example.com")
    shop.order("ana", JOINED, total_cents=2_000)
    day = runner.today = JOINED + timedelta(days=1)
    runner.run(day)
    assert sandbox.messages("ana@example.com") == []
    accrue(JOINED, JOINED)
    for _ in range(2):
        runner.run(day)
    assert len(sandbox.messages("ana@example.com")) == 1
