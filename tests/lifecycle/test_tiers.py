"""Tiers (L-08): who is in which, from when until when, told from the ledger alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from click.testing import CliRunner
from tests.lifecycle.test_loyalty import RULES, refund
from tests.shop import Shop

from lifecycle import as_of, cli, database, draws, loyalty, tiers
from lifecycle.errors import LifecycleError
from lifecycle.programme import Programme, Tier

ZONE = "Europe/London"
FIRST = date(2026, 3, 1)
SILVER = Tier("silver", from_points=1_000, free_shipping=True)
GOLD = Tier("gold", from_points=5_000, percent_off=50, free_shipping=True, draw_entries=3)


def programme(*declared: Tier, days: int = 365) -> Programme:
    made = Programme("loyalty_points", rules=RULES, tiers=declared or (SILVER, GOLD), tier_days=days)
    made.schedule("0 3 * * *", ZONE)
    return made


def accrue(last: date, *declared: Tier, days: int = 365) -> None:
    loyalty.accrue(programme(*declared, days=days), FIRST, last)


def periods(shop: Shop, customer: str = "ana") -> list[tuple[Any, ...]]:
    """Tier, what it came from, its first day and the day it ends."""
    found = shop.connection.execute(
        "select tier, changed_from, since, until from lifecycle.tier_periods "
        "inner join lifecycle.points_accounts using (account_id) where customer_id = %s order by since",
        [customer],
    ).fetchall()
    return [(tier, before, _day(since), until and _day(until)) for tier, before, since, until in found]


def _day(instant: datetime) -> date:
    day = as_of.run_day(instant, ZONE)
    assert instant == as_of.midnight(day, ZONE)
    return day


@pytest.fixture
def ana(shop: Shop) -> Shop:
    shop.customer("ana")
    return shop


def test_what_is_earned_on_a_day_moves_somebody_at_the_midnight_that_ends_it_and_holds_for_a_year(ana: Shop) -> None:
    """L-08: the tier moves at a defined time. The end that is certain is known at once."""
    ana.order("ana", datetime(2026, 6, 10, 22, 59, tzinfo=timezone.utc), total_cents=10_000)
    # Half an hour later it is the next day in London.
    ana.order("ana", datetime(2026, 6, 10, 23, 30, tzinfo=timezone.utc), total_cents=40_000)
    accrue(date(2026, 6, 30))
    assert periods(ana) == [
        ("silver", None, date(2026, 6, 11), date(2026, 6, 12)),
        ("gold", "silver", date(2026, 6, 12), date(2027, 6, 11)),
        ("silver", "gold", date(2027, 6, 11), date(2027, 6, 12)),
    ]


def test_just_below_is_not_in_and_two_steps_at_once_are_one_change(ana: Shop) -> None:
    ana.customer("ben")
    ana.order("ana", FIRST, total_cents=9_999)
    ana.order("ben", FIRST, total_cents=50_000)
    accrue(FIRST)
    assert periods(ana) == []
    assert periods(ana, "ben")[0][:2] == ("gold", None)


def test_a_refund_takes_the_tier_at_the_midnight_after_it(ana: Shop) -> None:
    order = ana.order("ana", FIRST, total_cents=12_000)
    refund(ana, "ana", date(2026, 3, 20), 3_000, order)
    accrue(date(2026, 3, 31))
    assert periods(ana) == [("silver", None, date(2026, 3, 2), date(2026, 3, 21))]


@pytest.mark.parametrize("how", ["refunded", "cancelled"])
def test_what_was_taken_back_leaves_the_year_together_with_its_order(ana: Shop, how: str) -> None:
    """Else a refund would count against later orders when its own order counts no more."""
    later = datetime(2026, 4, 20, 12, tzinfo=timezone.utc)
    order = ana.order("ana", FIRST, total_cents=90_000, cancelled_at=later if how == "cancelled" else None)
    if how == "refunded":
        refund(ana, "ana", later.date(), 90_000, order)
    ana.order("ana", date(2026, 5, 1), total_cents=10_000)
    accrue(date(2026, 5, 31))
    assert periods(ana) == [
        ("gold", None, date(2026, 3, 2), date(2026, 4, 21)),
        ("silver", None, date(2026, 5, 2), date(2027, 5, 2)),
    ]


def test_a_refund_of_points_that_were_spent_counts_in_full(ana: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left in the account is another matter: a refund that finds nothing to take still ends the tier."""
    monkeypatch.setenv("LIFECYCLE_POINTS_REFUNDS", "clamp")
    order = ana.order("ana", FIRST, total_cents=10_000)
    accrue(FIRST)
    with database.transaction() as connection:
        noon = datetime(2026, 3, 3, 12, tzinfo=timezone.utc)
        loyalty.post(connection, loyalty.Entry("redemption/1", "redeemed", "ana", -1_000, noon))
    refund(ana, "ana", date(2026, 3, 5), 10_000, order)
    accrue(date(2026, 3, 6))
    assert periods(ana) == [("silver", None, date(2026, 3, 2), date(2026, 3, 6))]


def test_money_spent_moves_tiers_too_whatever_points_it_gave(ana: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By spend, with what is too small for a point; the nightly proof looks at money as well."""
    monkeypatch.setenv("LIFECYCLE_POINTS_PER_UNIT", "1")
    by_spend = Tier("silver", from_spend_cents=1_100)
    order = ana.order("ana", FIRST, total_cents=1_000)
    ana.order("ana", date(2026, 3, 2), total_cents=99)
    ana.order("ana", date(2026, 3, 3), total_cents=1)
    accrue(date(2026, 3, 4), by_spend)
    assert periods(ana) == [("silver", None, date(2026, 3, 4), date(2027, 3, 2))]
    ana.connection.execute("update imported.orders set total_cents = 1001 where order_id = %s", [order])
    with pytest.raises(LifecycleError, match=f"ordered/{order} has 1000 hundredths spent and should have 1001"):
        loyalty.require_agreement(programme(by_spend))
    loyalty.differences(programme(by_spend), repair=True)
    assert loyalty.require_agreement(programme(by_spend)) == 0
    assert periods(ana) == [("silver", None, date(2026, 3, 3), date(2027, 3, 2))]


def test_where_a_tier_asks_for_points_or_spend_either_is_enough(ana: Shop) -> None:
    ana.customer("ben")
    both = Tier("silver", from_points=150, from_spend_cents=2_000)
    ana.order("ana", FIRST, total_cents=1_500)
    ana.event("ben", "joined_list", FIRST)
    ana.order("ben", FIRST, total_cents=500)
    accrue(FIRST, both)
    assert [periods(ana, who)[0][0] for who in ("ana", "ben")] == ["silver", "silver"]


@pytest.mark.needs_processors
def test_every_day_of_random_shops_is_what_plain_arithmetic_says_in_any_order(shop: Shop) -> None:
    """L-08, G11: days accrued backward and twice; held against the sum of the days before, day by day."""
    chance, days = random.Random(11), [FIRST + timedelta(days=number) for number in range(20)]
    facts: list[tuple[str, date, date, int]] = []
    for number in range(12):
        who = shop.customer(f"c-{number}")
        for _ in range(6):
            on, cents = chance.choice(days[:-5]), chance.randrange(100, 30_000)
            order = shop.order(who, on, total_cents=cents)
            facts.append((who, on, on, cents // 10))
            if chance.random() < 0.4:
                back = on + timedelta(days=chance.randrange(5))
                refund(shop, who, back, cents, order)
                facts.append((who, back, on, -(cents // 10)))
    for day in sorted(days * 2, reverse=True):
        loyalty.accrue(programme(days=10), day, day)
    for number in range(35):
        day = FIRST + timedelta(days=number)
        counted = dict.fromkeys((fact[0] for fact in facts), 0)
        for who, happened, counts_from, points in facts:
            if happened < day and counts_from >= day - timedelta(days=10):
                counted[who] += points
        expected = {who: "gold" if sum_ >= 5_000 else "silver" for who, sum_ in counted.items() if sum_ >= 1_000}
        assert in_tiers(shop, as_of.midnight(day, ZONE)) == expected, day


def in_tiers(shop: Shop, instant: datetime) -> dict[str, str]:
    """Who is in which tier, as a segment of that midnight sees it."""
    with seen_from(shop, instant):
        found = shop.connection.execute("select customer_id, tier from shop.tiers where until is null").fetchall()
    return dict(found)


@contextmanager
def seen_from(shop: Shop, instant: datetime) -> Iterator[None]:
    shop.connection.execute("select set_config('lifecycle.as_of', %s, false)", [instant.isoformat()])
    yield
    shop.connection.execute("select set_config('lifecycle.as_of', '', false)")


def test_a_past_day_shows_the_tier_of_then_and_no_end_that_was_not_there_yet(ana: Shop) -> None:
    """`shop.tiers` is point-in-time."""
    ana.order("ana", FIRST, total_cents=10_000)
    accrue(FIRST)
    seen = "select tier, changed_from, until from shop.tiers"
    with seen_from(ana, as_of.midnight(date(2026, 3, 1), ZONE)):
        assert ana.connection.execute(seen).fetchall() == []
    with seen_from(ana, as_of.midnight(date(2026, 3, 2), ZONE)):
        assert ana.connection.execute(seen).fetchall() == [("silver", None, None)]
    end = as_of.midnight(date(2027, 3, 2), ZONE)
    with seen_from(ana, end):
        assert ana.connection.execute(seen).fetchall() == [("silver", None, end)]


def test_other_thresholds_hold_for_everybody_at_the_next_accrual(ana: Shop) -> None:
    ana.order("ana", FIRST, total_cents=10_000)
    accrue(FIRST)
    quiet = date(2026, 3, 10)
    loyalty.accrue(programme(Tier("bronze", from_points=500), SILVER), quiet, quiet)
    assert periods(ana) == [("silver", None, date(2026, 3, 2), date(2027, 3, 2))]
    loyalty.accrue(programme(Tier("silver", from_points=1_001)), quiet, quiet)
    assert periods(ana) == []
    made = Programme("loyalty_points", rules=RULES)
    made.schedule("0 3 * * *", ZONE)
    accrue(FIRST)
    loyalty.accrue(made, quiet, quiet)
    assert periods(ana) == []


def test_the_nightly_proof_finds_a_tier_that_the_ledger_does_not_tell(ana: Shop) -> None:
    ana.order("ana", FIRST, total_cents=10_000)
    accrue(FIRST)
    ana.connection.execute("update lifecycle.tier_periods set tier = 'gold'")
    with pytest.raises(LifecycleError, match="1 tiers differ from what the ledger tells"):
        loyalty.require_agreement(programme())
    assert periods(ana)[0][0] == "gold"
    loyalty.differences(programme(), repair=True)
    assert periods(ana)[0][0] == "silver"


def test_a_till_is_told_the_tier_and_what_it_gives(ana: Shop) -> None:
    """`lifecycle points CUSTOMER`, as the repository declares its tiers."""
    ana.customer("ben")
    yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
    ana.order("ana", yesterday, total_cents=80_000)
    runner = CliRunner()
    said = runner.invoke(cli.cli, ["run", "loyalty_points", "--from", str(yesterday), "--to", str(yesterday)])
    assert said.exit_code == 0, said.output
    shown = json.loads(runner.invoke(cli.cli, ["points", "ana", "--format", "json"]).stdout)
    assert {name: shown["tier"][name] for name in ("tier", "percent_off", "free_shipping", "draw_entries")} == {
        "tier": "gold",
        "percent_off": 10,
        "free_shipping": True,
        "draw_entries": 1,
    }
    since = f"{yesterday + timedelta(days=1)}"
    assert shown["tier"]["since"].startswith(since)
    assert (
        f"ana is gold since {since}: 10 % off, free shipping, 1 draw entry"
        in runner.invoke(cli.cli, ["points", "ana"]).output
    )
    assert json.loads(runner.invoke(cli.cli, ["points", "ben", "--format", "json"]).stdout)["tier"] is None


def test_benefits_are_told_in_words() -> None:
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert tiers.Status("gold", now, None, None, False, 3).benefits == "3 draw entries"
    assert tiers.Status("gold", now, None, None, False, 0).benefits == ""


def test_a_tier_brings_entries_in_a_draw(ana: Shop) -> None:
    """L-08, L-09."""
    ana.customer("ben")
    ana.order("ana", FIRST, total_cents=50_000)
    ana.order("ben", FIRST, total_cents=10_000)
    accrue(FIRST)
    closes = as_of.midnight(date(2026, 4, 1), ZONE)
    draws.announce("spring", rule="tiers", winner_count=1, closes_at=closes)
    assert draws.close("spring", now=closes, zone=ZONE)[1] == [("ana", 3)]


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Tier("gold"), "Tier 'gold' asks for nothing. Give from_points=1000"),
        (lambda: Tier("gold", from_points=0), "Tier 'gold' has from_points=0. Give a whole number from 1"),
        (lambda: Tier("gold", from_spend_cents=True), "has from_spend_cents=True"),
        (
            lambda: Tier("gold", from_points=1, percent_off=101),
            "has percent_off=101. Give a whole number from 1 to 100",
        ),
        (lambda: Tier("gold", from_points=1, draw_entries=-1), "has draw_entries=-1"),
        (lambda: Tier("gold", from_points=1, free_shipping=1), "has free_shipping=1. Give True, or leave it out"),  # pyright: ignore[reportArgumentType]
        (lambda: Tier("Gold", from_points=1), "The tier name 'Gold' is not usable"),
        (lambda: programme(SILVER, SILVER), "has two tiers 'silver'"),
        (lambda: programme(GOLD, SILVER), "has the tier 'silver' with from_points=1000 above 'gold' with 5000"),
        (lambda: programme(SILVER, Tier("gold", from_points=1_000)), "List tiers from the lowest to the highest"),
        (
            lambda: programme(SILVER, Tier("gold", from_spend_cents=5)),
            "has from_points in one of the tiers 'silver' and 'gold' alone. Let all tiers ask for the same",
        ),
        (lambda: programme(SILVER, days=0), "has tier_days=0. Give a number of days from 1 to 3660"),
    ],
)
def test_a_mistake_in_a_declaration_is_one_line_with_its_place(declare: Any, said: str) -> None:
    with pytest.raises(LifecycleError) as error:
        declare()
    assert said in str(error.value)
    assert "test_tiers.py:" in str(error.value) or "The tier name" in str(error.value)
