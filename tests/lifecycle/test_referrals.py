"""Referrals: who is a friend, what is given for one, once, and what takes it back (F-01 to F-06, J-28, L-07, A-5)."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import RaiseException
from tests.conftest import PROJECT, plain
from tests.lifecycle.test_delivery import SEGMENT
from tests.project_builder import ProjectBuilder
from tests.shop import Shop, noon

from lifecycle import as_of, database, links, loyalty, referrals, rendering, runs, stages, vouchers
from lifecycle.errors import LifecycleError
from lifecycle.journey import Email, Journey, Sms, Step
from lifecycle.programme import Programme
from lifecycle.referrals import Settled

ZONE = "Europe/London"
START = date(2026, 1, 1)
CAME = date(2026, 2, 1)
# Thirty days of 24 hours after noon of that day, and the first day that sees it.
CONFIRMED = date(2026, 3, 3)
RULES = ("ordered", "referred_friend", "referral_reversed")


class Referrals:
    """A shop where friends come by links; each person has a mailbox and a phone of their own unless a test says otherwise."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._people = 0

    def person(self, name: str, **columns: Any) -> str:
        self._people += 1
        return self.shop.customer(name, **{"phone": f"+4477009{self._people:05}", **columns})

    def code(self, name: str) -> str:
        with database.transaction() as connection:
            return referrals.code_keys(connection, [name])[name]

    def order(self, friend: str, on: date | datetime = CAME, *, of: str = "", **columns: Any) -> str:
        """An order of a friend, of 10.00 unless said otherwise; with the code of whoever brought them."""
        code = {"referral_code": self.code(of)} if of else {}
        return self.shop.order(friend, on, **{**code, **columns})

    def friend(self, name: str, of: str, on: date | datetime = CAME, **columns: Any) -> str:
        """A new person and their first order by somebody's link."""
        self.person(name)
        return self.order(name, on, of=of, **columns)

    def settle(self, day: date = CONFIRMED, since: date = START) -> Settled:
        """What the run of the day after gives and takes."""
        start, end = as_of.midnight(since, ZONE), as_of.end_of(day, ZONE)
        return referrals.settle(counted_from=start, until=end, zone=ZONE)

    def accrue(self, first: date, last: date) -> int:
        return loyalty.accrue(programme(), first, last)

    def points(self, name: str) -> int:
        with database.transaction() as connection:
            lines = loyalty.statement(connection, name)
        return sum(line.points for line in lines if line.fact.startswith("refer"))

    def account(self, name: str, day: date = CONFIRMED) -> referrals.Account:
        return referrals.account(name, as_of.end_of(day, ZONE))

    def refused(self, day: date = CONFIRMED) -> dict[str, str | None]:
        """By order, why its claim counts for nothing."""
        with database.transaction() as connection:
            database.set_as_of(connection, as_of.end_of(day, ZONE), ZONE)
            referrals.recognise(connection)
        return dict(self.rows("select order_id, refused from lifecycle.referral_claims"))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.shop.connection.execute(query.encode()).fetchall()


def programme() -> Programme:
    made = Programme("loyalty_points", rules=RULES)
    made.schedule("0 3 * * *", ZONE)
    return made


@pytest.fixture
def shop_of_friends(shop: Shop) -> Referrals:
    made = Referrals(shop)
    made.person("ana")
    return made


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_customer_has_one_link_for_ever(shop_of_friends: Referrals) -> None:
    """F-01: made when it is first asked for; no letter of it is mistaken for another, and a slip is found."""
    shop_of_friends.person("ben")
    with database.transaction() as connection:
        first = referrals.link_of(connection, "ana")
        again, other = referrals.link_of(connection, "ana"), referrals.link_of(connection, "ben")
    assert first == again != other
    assert first.startswith("http://links.test/r/")
    key = first.rpartition("/")[2]
    assert len(key) == 12
    assert set(key) <= set(vouchers.LETTERS)
    assert not vouchers.is_mistyped(key)


def test_two_who_ask_for_a_link_at_once_are_told_the_same(shop_of_friends: Referrals) -> None:
    def ask(_: int) -> str:
        return shop_of_friends.code("ana")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_nobody_has_no_link(shop_of_friends: Referrals) -> None:
    with database.transaction() as connection, pytest.raises(LifecycleError, match="There is no customer 'anna'"):
        referrals.link_of(connection, "anna")


# --- who is a friend --------------------------------------------------------------------------------------------------


def test_a_friend_who_stays_gives_points_credit_and_a_place(shop_of_friends: Referrals) -> None:
    """F-02, F-05, L-07, A-5: 500 points and 5 USD when the order has outlived its refund window, and not before."""
    shop_of_friends.friend("ben", of="ana")
    assert shop_of_friends.settle(CONFIRMED - timedelta(days=1)) == Settled(1, 0, 0, 0, 0)
    assert shop_of_friends.account("ana", CONFIRMED - timedelta(days=1)).pending == 1
    assert shop_of_friends.settle() == Settled(0, 1, 0, 0, 0)
    shop_of_friends.accrue(CAME, CONFIRMED)
    account = shop_of_friends.account("ana")
    assert (account.confirmed, account.pending, shop_of_friends.points("ana")) == (1, 0, 500)
    ben = account.friends[0]
    assert (ben.friend_id, ben.status, ben.confirmed_at) == ("ben", "confirmed", noon(CAME) + timedelta(days=30))
    with database.transaction() as connection:
        credit = vouchers.redeem(
            connection, ben.credit_code or "", order_id="1", customer_id="ana", at=noon(date(2026, 3, 5))
        )
    assert (credit.outcome, credit.amount_cents, credit.currency) == ("redeemed", 500, "USD")


def test_a_code_is_read_as_people_type_it(shop_of_friends: Referrals) -> None:
    key = shop_of_friends.code("ana")
    shop_of_friends.person("ben")
    shop_of_friends.order("ben", referral_code=f" {key[:4].lower()}-{key[4:8]} {key[8:]}")
    assert set(shop_of_friends.refused().values()) == {None}


def test_nobody_brings_themselves(shop_of_friends: Referrals) -> None:
    """Self-referral is refused, by another id of the same mailbox or phone as well (F-02)."""
    shop_of_friends.person("bob", email="bob.smith@gmail.com", phone="+447700900123")
    own = shop_of_friends.order("bob", of="bob")
    same: list[str] = []
    for name, columns in {
        "tagged": {"email": " Bob.Smith+friend@gmail.com"},
        "dotted": {"email": "bobsmith@googlemail.com"},
        "phoned": {"phone": "+44 7700 900123"},
    }.items():
        shop_of_friends.person(name, **columns)
        same.append(shop_of_friends.order(name, of="bob"))
    shop_of_friends.person("another", email="bobsmith@example.com")
    real = shop_of_friends.order("another", of="bob")
    assert shop_of_friends.refused() == {**dict.fromkeys([own, *same], "self"), real: None}
    shop_of_friends.settle()
    shop_of_friends.accrue(CAME, CONFIRMED)
    assert shop_of_friends.points("bob") == 500


def test_people_without_mailbox_and_phone_are_not_the_same(shop_of_friends: Referrals) -> None:
    for name in ("ben", "cleo"):
        shop_of_friends.person(name)
    shop_of_friends.shop.connection.execute("update imported.customers set email = null, phone = null")
    order = shop_of_friends.order("ben", of="cleo")
    assert shop_of_friends.refused() == {order: None}


def test_who_was_refused_stays_refused_whatever_they_change_later(shop_of_friends: Referrals) -> None:
    shop_of_friends.person("twin", email="ana@example.com")
    order = shop_of_friends.order("twin", of="ana")
    assert shop_of_friends.refused(CAME) == {order: "self"}
    shop_of_friends.shop.connection.execute(
        "update imported.customers set email = 'else@example.com' where customer_id = 'twin'"
    )
    assert shop_of_friends.refused() == {order: "self"}


def test_whoever_ordered_before_is_no_new_friend(shop_of_friends: Referrals) -> None:
    shop_of_friends.person("ben")
    shop_of_friends.order("ben", CAME - timedelta(days=200))
    order = shop_of_friends.order("ben", of="ana")
    assert shop_of_friends.refused() == {order: "not_new"}


def test_an_order_that_was_cancelled_before_is_none(shop_of_friends: Referrals) -> None:
    shop_of_friends.person("ben")
    shop_of_friends.order("ben", CAME - timedelta(days=9), cancelled_at=noon(CAME - timedelta(days=8)))
    shop_of_friends.person("cleo")
    shop_of_friends.order("cleo", CAME - timedelta(days=9), cancelled_at=noon(CAME + timedelta(days=1)))
    good, late = shop_of_friends.order("ben", of="ana"), shop_of_friends.order("cleo", of="ana")
    assert shop_of_friends.refused() == {good: None, late: "not_new"}


def test_an_unknown_code_is_refused_and_said(shop_of_friends: Referrals) -> None:
    shop_of_friends.person("ben")
    order = shop_of_friends.order("ben", referral_code="CDFG-HJKL-MNPT")
    assert shop_of_friends.refused() == {order: "unknown_code"}


def test_a_friend_is_brought_once(shop_of_friends: Referrals) -> None:
    """The first claim counts, though its order was cancelled and the next one came by somebody else."""
    shop_of_friends.person("cleo")
    first = shop_of_friends.friend("ben", of="ana", cancelled_at=noon(CAME) + timedelta(hours=1))
    second = shop_of_friends.order("ben", CAME + timedelta(days=2), of="cleo")
    assert shop_of_friends.refused() == {first: None, second: "claimed_before"}
    shop_of_friends.settle(CONFIRMED + timedelta(days=2))
    ben = shop_of_friends.account("ana", CONFIRMED + timedelta(days=2)).friends[0]
    # The order that stands is the one that counts.
    assert (ben.status, ben.confirmed_at) == ("confirmed", noon(CAME) + timedelta(days=32))


@pytest.mark.parametrize("people", [["ana", "ben"], ["ana", "ben", "cleo", "dan"]], ids=["two", "four"])
def test_circles_are_refused_by_the_claim_that_closes_them(shop_of_friends: Referrals, people: list[str]) -> None:
    for name in people[1:]:
        shop_of_friends.person(name)
    orders = [
        shop_of_friends.order(friend, CAME + timedelta(days=number), of=referrer)
        for number, (referrer, friend) in enumerate(zip(people, [*people[1:], people[0]], strict=True))
    ]
    assert shop_of_friends.refused() == {**dict.fromkeys(orders, None), orders[-1]: "circular"}


def test_it_does_not_matter_which_day_is_looked_at_first(shop_of_friends: Referrals) -> None:
    """The same claims, forward, backward, or all at once: random shops of few people with many links."""
    people = [f"p{number}" for number in range(7)]
    for name in people:
        shop_of_friends.person(name)
    days = [CAME + timedelta(days=number) for number in range(10)]
    met: set[str | None] = set()
    for seed in range(4):
        chance = random.Random(seed)
        for _ in range(20):
            friend, referrer, on = chance.choice(people), chance.choice(people), chance.choice(days)
            gone = {"cancelled_at": noon(on + timedelta(days=chance.randint(0, 4)))} if chance.random() < 0.5 else {}
            at = noon(on) + timedelta(minutes=chance.randint(0, 600))
            shop_of_friends.order(friend, at, of="" if chance.random() < 0.2 else referrer, **gone)
        seen = []
        for order in (days[-1:], days, days[::-1], chance.sample(days, len(days))):
            for day in order:
                shop_of_friends.refused(day)
            seen.append(shop_of_friends.refused(days[-1]))
            shop_of_friends.shop.connection.execute("truncate lifecycle.referral_claims")
        shop_of_friends.shop.connection.execute("truncate imported.orders")
        assert seen[0] == seen[1] == seen[2] == seen[3]
        met |= set(seen[0].values())
    assert met == {"self", "not_new", "circular", "claimed_before", None}


def test_who_told_us_at_sign_up_brings_with_the_first_order(shop_of_friends: Referrals) -> None:
    """A shop that knows the referrer without a code says so in `referred_by`; a code says more."""
    shop_of_friends.person("cleo")
    shop_of_friends.person("ben", referred_by="ana")
    first = shop_of_friends.order("ben")
    shop_of_friends.order("ben", CAME + timedelta(days=1))
    shop_of_friends.person("dan", referred_by="ana")
    coded = shop_of_friends.order("dan", of="cleo")
    assert shop_of_friends.refused() == {first: None, coded: None}
    shop_of_friends.settle()
    friends = {name: [one.friend_id for one in shop_of_friends.account(name).friends] for name in ("ana", "cleo")}
    assert friends == {"ana": ["ben"], "cleo": ["dan"]}


# --- rewards and refunds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refunded", "cancelled"])
def test_a_refund_of_the_friends_order_takes_the_reward_back(shop_of_friends: Referrals, how: str) -> None:
    """F-02: points and credit, however late."""
    order = shop_of_friends.friend("ben", of="ana")
    shop_of_friends.settle()
    shop_of_friends.accrue(CAME, CONFIRMED)
    later = CONFIRMED + timedelta(days=40)
    if how == "refunded":
        shop_of_friends.shop.refund(order, "ben", later, 1000)
    else:
        shop_of_friends.shop.connection.execute("update imported.orders set cancelled_at = %s", (noon(later),))
    assert shop_of_friends.settle(later) == Settled(0, 0, 1, 0, 0)
    shop_of_friends.accrue(later, later)
    account = shop_of_friends.account("ana", later)
    assert (account.reversed, account.confirmed, shop_of_friends.points("ana")) == (1, 0, 0)
    assert account.friends[0].credit_state == "released"
    assert shop_of_friends.settle(later) == Settled(0, 0, 0, 0, 0)
    # Days that come first as they were: it was a friend then.
    assert shop_of_friends.account("ana").confirmed == 1


def test_a_refund_within_the_window_gives_nothing(shop_of_friends: Referrals) -> None:
    order = shop_of_friends.friend("ben", of="ana")
    shop_of_friends.shop.refund(order, "ben", CONFIRMED - timedelta(days=1), 1000)
    assert shop_of_friends.settle(CONFIRMED + timedelta(days=9)) == Settled(1, 0, 0, 0, 0)
    assert shop_of_friends.account("ana").pending == 1


def test_what_is_left_of_an_order_counts(shop_of_friends: Referrals, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parcel of which something is kept is a purchase, unless the shop asks for more to be left."""
    partly = shop_of_friends.friend("ben", of="ana")
    shop_of_friends.shop.refund(partly, "ben", CAME, 600)
    shop_of_friends.shop.refund(partly, "ben", CAME + timedelta(days=1), 100)
    shop_of_friends.friend("gift", of="ana", total_cents=0)
    assert shop_of_friends.settle().credits == 1
    assert [one.friend_id for one in shop_of_friends.account("ana").friends if one.status == "confirmed"] == ["ben"]
    monkeypatch.setenv("LIFECYCLE_REFERRAL_LEAST_ORDER", "3.01")
    assert shop_of_friends.account("ana").confirmed == 0
    monkeypatch.setenv("LIFECYCLE_REFERRAL_LEAST_ORDER", "3")
    assert shop_of_friends.account("ana").confirmed == 1


def test_a_credit_that_was_used_is_owed_back(shop_of_friends: Referrals) -> None:
    order = shop_of_friends.friend("ben", of="ana")
    shop_of_friends.settle()
    code = shop_of_friends.account("ana").friends[0].credit_code or ""
    with database.transaction() as connection:
        vouchers.redeem(connection, code, order_id="spent", at=noon(date(2026, 3, 6)))
    later = CONFIRMED + timedelta(days=40)
    shop_of_friends.shop.refund(order, "ben", later, 1000)
    for _ in range(2):
        shop_of_friends.settle(later)
    assert shop_of_friends.account("ana", later).cash_back == {"USD": -500}


def test_what_was_before_the_programme_gives_nothing(shop_of_friends: Referrals) -> None:
    shop_of_friends.friend("ben", of="ana")
    assert shop_of_friends.settle(since=date(2026, 3, 4)).credits == 0
    assert shop_of_friends.settle(since=CONFIRMED).credits == 1


def test_the_terms_are_settings(shop_of_friends: Referrals, monkeypatch: pytest.MonkeyPatch) -> None:
    shop_of_friends.friend("ben", of="ana")
    monkeypatch.setenv("LIFECYCLE_REFERRAL_REFUND_DAYS", "14")
    monkeypatch.setenv("LIFECYCLE_REFERRAL_CREDIT", "off")
    monkeypatch.setenv("LIFECYCLE_REFERRAL_FRIENDS", "1")
    assert shop_of_friends.settle(date(2026, 2, 15)) == Settled(1, 0, 0, 0, 1)
    monkeypatch.setenv("LIFECYCLE_REFERRAL_CREDIT", "4.50 EUR")
    assert shop_of_friends.settle(date(2026, 2, 15)).credits == 1
    assert shop_of_friends.rows("select amount_cents, currency from lifecycle.vouchers") == [(450, "EUR")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("CREDIT", "5"), ("CREDIT", "0 USD"), ("LEAST_ORDER", "0"), ("LEAST_ORDER", "ten"), ("REFUND_DAYS", "-1")],
)
def test_terms_that_nobody_means_are_refused(
    shop_of_friends: Referrals, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"LIFECYCLE_REFERRAL_{name}", value)
    with pytest.raises(LifecycleError, match=f"LIFECYCLE_REFERRAL_{name} is '{value}'"):
        shop_of_friends.settle()


# --- renewals ---------------------------------------------------------------------------------------------------------


def renewals(shop_of_friends: Referrals, *totals: int) -> list[str]:
    """A friend's subscription: the first order by ana's link, then one each month."""
    shop_of_friends.person("ben")
    return [
        shop_of_friends.order(
            "ben", CAME + timedelta(days=30 * month), of="" if month else "ana", subscription_id="s1", total_cents=total
        )
        for month, total in enumerate(totals)
    ]


def cash(shop_of_friends: Referrals) -> list[tuple[Any, ...]]:
    return shop_of_friends.rows("select kind, amount_cents from lifecycle.referral_cash order by occurred_at, fact")


def test_a_fifth_of_each_renewal_is_paid_back(shop_of_friends: Referrals) -> None:
    """F-04: of every order of the subscription but the first, rounded down to the cent, when its window is over."""
    renewals(shop_of_friends, 1000, 1999, 1004)
    shop_of_friends.order("ben", CAME + timedelta(days=31), total_cents=5000)
    shop_of_friends.order("ben", CAME + timedelta(days=32), total_cents=5000, subscription_id="s2")
    shop_of_friends.person("stranger")
    for month in range(2):
        shop_of_friends.order("stranger", CAME + timedelta(days=30 * month), subscription_id="s3")
    late = CONFIRMED + timedelta(days=60)
    assert shop_of_friends.settle(CONFIRMED + timedelta(days=29)).cash_entries == 0
    assert shop_of_friends.settle(late).cash_entries == 2
    assert cash(shop_of_friends) == [("renewal", 399), ("renewal", 200)]
    assert shop_of_friends.settle(late).cash_entries == 0
    assert shop_of_friends.account("ana", late).cash_back == {"GBP": 599}


def test_renewals_after_the_referral_was_reversed_pay_nothing(shop_of_friends: Referrals) -> None:
    """F-04: the share of the one that was earned before stays."""
    first, *_ = renewals(shop_of_friends, 1000, 1000, 1000)
    shop_of_friends.shop.refund(first, "ben", CAME + timedelta(days=75), 1000)
    shop_of_friends.settle(CAME + timedelta(days=120))
    assert cash(shop_of_friends) == [("renewal", 200)]


def test_a_refunded_renewal_takes_its_share_back_to_the_cent(shop_of_friends: Referrals) -> None:
    """F-04: what is left of the share is the share of what is left, however the refunds fall."""
    _, first, second = renewals(shop_of_friends, 1000, 1999, 1999)
    early, late = CAME + timedelta(days=40), CONFIRMED + timedelta(days=70)
    # Within the window of the first; three more after it; the last one after the cancellation of the second.
    shop_of_friends.shop.refund(first, "ben", early, 333)
    for days, cents in enumerate((333, 1, 666)):
        shop_of_friends.shop.refund(first, "ben", late + timedelta(days=days), cents)
    shop_of_friends.shop.refund(second, "ben", late, 7)
    shop_of_friends.shop.connection.execute(
        "update imported.orders set cancelled_at = %s where order_id = %s", (noon(late + timedelta(days=1)), second)
    )
    shop_of_friends.shop.refund(second, "ben", late + timedelta(days=2), 1992)
    for day in (late - timedelta(days=1), late, late + timedelta(days=1), late + timedelta(days=5)):
        shop_of_friends.settle(day)
    left = (1999 - 333 - 333 - 1 - 666) * 20 // 100
    by_order = dict(
        shop_of_friends.rows("select order_id, sum(amount_cents)::int from lifecycle.referral_cash group by 1")
    )
    assert by_order == {first: left, second: 0}
    assert {kind for kind, _ in cash(shop_of_friends)} == {"renewal", "refunded", "cancelled"}
    in_steps = sorted(shop_of_friends.rows("select fact, amount_cents from lifecycle.referral_cash"))
    shop_of_friends.shop.connection.execute("truncate lifecycle.referral_cash")
    shop_of_friends.settle(late - timedelta(days=1))
    shop_of_friends.settle(late + timedelta(days=5))
    assert sorted(shop_of_friends.rows("select fact, amount_cents from lifecycle.referral_cash")) == in_steps


def test_money_that_is_owed_is_never_changed(shop_of_friends: Referrals) -> None:
    renewals(shop_of_friends, 1000, 1000)
    shop_of_friends.settle(CONFIRMED + timedelta(days=60))
    for change in ("update lifecycle.referral_cash set amount_cents = 1", "delete from lifecycle.referral_cash"):
        with pytest.raises(RaiseException, match="never changed"):
            shop_of_friends.rows(change)


# --- twenty friends ---------------------------------------------------------------------------------------------------


def bring(shop_of_friends: Referrals, count: int, first: int = 0) -> list[str]:
    return [
        shop_of_friends.friend(f"friend-{number:02}", of="ana", on=noon(CAME) + timedelta(minutes=number))
        for number in range(first, first + count)
    ]


def test_the_twentieth_friend_makes_shipping_free_for_life_once(shop_of_friends: Referrals) -> None:
    """F-03: eight settlements at once, and one more: it fires once, and everybody has one credit."""
    bring(shop_of_friends, 19)
    assert shop_of_friends.settle() == Settled(19, 19, 0, 0, 0)
    bring(shop_of_friends, 1, first=19)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: shop_of_friends.settle(), range(8)))
    assert sum(one.free_shipping for one in done) == 1
    assert sum(one.credits for one in done) == 1
    assert shop_of_friends.settle() == Settled(0, 0, 0, 0, 0)
    reached = noon(CAME) + timedelta(days=30, minutes=19)
    assert shop_of_friends.rows("select customer_id, friend_id, reached_at from lifecycle.free_shipping") == [
        ("ana", "friend-19", reached)
    ]
    assert shop_of_friends.account("ana").has_free_shipping
    assert shop_of_friends.rows("select count(*), count(distinct source) from lifecycle.vouchers") == [(20, 20)]


def test_twenty_friends_who_are_confirmed_by_eight_at_once_are_all_seen(shop_of_friends: Referrals) -> None:
    """F-03: nobody misses the twentieth because each of eight looked before the others had written."""
    bring(shop_of_friends, 20)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: shop_of_friends.settle(), range(8)))
    assert [sum(numbers) for numbers in zip(*done, strict=True)] == [20, 20, 0, 0, 1]


def test_refunds_below_twenty_take_it_back_and_it_never_fires_twice(shop_of_friends: Referrals) -> None:
    """F-03: for life while twenty friends stand; the twenty-first brings it back without a second gift."""
    orders = bring(shop_of_friends, 20)
    shop_of_friends.settle()
    later = CONFIRMED + timedelta(days=5)
    shop_of_friends.shop.refund(orders[0], "friend-00", later, 1000)
    assert shop_of_friends.settle(later).free_shipping == 0
    assert not shop_of_friends.account("ana", later).has_free_shipping
    shop_of_friends.friend("late", of="ana", on=CAME + timedelta(days=9))
    again = CONFIRMED + timedelta(days=9)
    assert shop_of_friends.settle(again).free_shipping == 0
    assert shop_of_friends.account("ana", again).has_free_shipping


def test_friends_who_were_reversed_before_do_not_add_up(shop_of_friends: Referrals) -> None:
    orders = bring(shop_of_friends, 19)
    shop_of_friends.shop.refund(orders[3], "friend-03", CONFIRMED + timedelta(days=1), 1000)
    shop_of_friends.friend("late", of="ana", on=CAME + timedelta(days=5))
    assert shop_of_friends.settle(CONFIRMED + timedelta(days=9)).free_shipping == 0


def test_a_settlement_that_is_killed_leaves_nothing_behind(
    shop_of_friends: Referrals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it dies, the next one gives the same as if nothing had been."""
    bring(shop_of_friends, 20)
    renewals(shop_of_friends, 1000, 1000)
    whole = database.run
    day = CONFIRMED + timedelta(days=60)
    statements: list[str] = []

    class KilledError(Exception):
        """The process ends here."""

    def dying_at(number: int) -> Any:
        def run(connection: Any, path: str, **values: Any) -> int:
            statements.append(path)
            if len(statements) == number:
                raise KilledError
            return whole(connection, path, **values)

        return run

    for number in range(1, 7):
        statements.clear()
        monkeypatch.setattr(database, "run", dying_at(number))
        with pytest.raises(KilledError):
            shop_of_friends.settle(day)
        monkeypatch.setattr(database, "run", whole)
        for table in ("referral_claims", "vouchers", "referral_cash", "free_shipping"):
            assert shop_of_friends.rows(f"select count(*) from lifecycle.{table}") == [(0,)]
    assert shop_of_friends.settle(day) == Settled(21, 21, 0, 1, 1)


def test_points_for_friends_are_the_same_in_whatever_order_days_are_accrued(shop_of_friends: Referrals) -> None:
    """L-07: forward, backward and thrice, with refunds in between; the ledger agrees with the facts."""
    for number in range(6):
        order = shop_of_friends.friend(f"f{number}", of="ana", on=CAME + timedelta(days=number))
        if number % 2:
            shop_of_friends.shop.refund(order, f"f{number}", CONFIRMED + timedelta(days=number + number // 2), 1000)
    days = [CONFIRMED + timedelta(days=number) for number in range(-2, 12)]
    for order in (days[::-1], days, days):
        for day in order:
            shop_of_friends.accrue(day, day)
    assert shop_of_friends.points("ana") == 3 * 500
    assert loyalty.differences(programme()) == []


# --- looking ----------------------------------------------------------------------------------------------------------


def test_the_leaderboard_counts_friends_who_stayed(shop_of_friends: Referrals) -> None:
    """F-06: most first; of equals whoever was there first."""
    for name in ("ben", "cleo"):
        shop_of_friends.person(name)
    shop_of_friends.friend("c1", of="cleo", on=CAME - timedelta(days=1))
    shop_of_friends.friend("b1", of="ben")
    shop_of_friends.friend("a1", of="ana", on=CAME - timedelta(days=3))
    back = shop_of_friends.friend("a2", of="ana", on=CAME - timedelta(days=3))
    shop_of_friends.shop.refund(back, "a2", CONFIRMED, 1000)
    shop_of_friends.friend("c2", of="cleo", on=CONFIRMED)
    shop_of_friends.friend("b2", of="ben", on=CAME - timedelta(days=2))
    board = referrals.leaderboard(10, as_of.end_of(CONFIRMED, ZONE))
    assert [tuple(line) for line in board] == [
        (1, "ben", 2, 0, 0),
        (2, "ana", 1, 0, 1),
        (2, "cleo", 1, 1, 0),
    ]
    assert len(referrals.leaderboard(1, as_of.end_of(CONFIRMED, ZONE))) == 1


def test_a_past_day_is_seen_as_it_was(shop_of_friends: Referrals) -> None:
    """Nothing of later leaks: with later facts taken away, every day shows the same referrals and renewals."""
    orders = bring(shop_of_friends, 4)
    renewals(shop_of_friends, 1000, 1999, 1004)
    shop_of_friends.shop.refund(orders[0], "friend-00", CAME + timedelta(days=3), 1000)
    shop_of_friends.shop.refund(orders[1], "friend-01", CONFIRMED + timedelta(days=3), 1000)
    end = CONFIRMED + timedelta(days=70)
    shop_of_friends.settle(end)

    def seen(day: date) -> list[Any]:
        with database.transaction() as connection:
            database.set_as_of(connection, as_of.midnight(day, ZONE), ZONE)
            raw = database.driver(connection)
            views = ("referrals", "referral_renewals")
            return [sorted(raw.execute(f"select v::text from shop.{view} as v".encode()).fetchall()) for view in views]

    days = [CAME + timedelta(days=number) for number in range(0, 100, 4)]
    known = {day: seen(day) for day in days}
    assert len({str(one) for one in known.values()}) > 5
    for day in reversed(days):
        midnight = as_of.midnight(day, ZONE)
        for table, time in (("orders", "ordered_at"), ("refunds", "refunded_at")):
            shop_of_friends.shop.connection.execute(
                f"delete from imported.{table} where {time} >= %s".encode(), (midnight,)
            )
        shop_of_friends.shop.connection.execute(
            "delete from lifecycle.referral_claims where claimed_at >= %s", (midnight,)
        )
        assert seen(day) == known[day], day


# --- messages and people ----------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectBuilder:
    builder = ProjectBuilder(tmp_path)
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    return builder


def test_the_link_goes_on_when_its_customer_unsubscribed_and_no_mail_is_sent(
    shop_of_friends: Referrals, project: ProjectBuilder, sandbox: Any
) -> None:
    """F-01, A-12: the link belongs to the customer, the mail to their consent."""
    from lifecycle import senders

    project.segment("letter", "all", SEGMENT)
    words = "{{ referral_link }} {{ unsubscribe_url }}"
    project.template("letter", "news.email.html.j2", f"---\nsubject: News\n---\n<p>{words}</p>")
    project.template("letter", "news.email.txt.j2", words)
    journey = Journey("letter", steps=[Step("news", segment="all.sql", message=Email("news"))])
    shop_of_friends.person("ben", email_consent=False)
    link = f"http://links.test/r/{shop_of_friends.code('ben')}"

    def mail(day: date) -> list[Any]:
        context = runs.for_day(journey, day, ZONE)
        stages.record_conversions(context)
        stages.select_audience(context, journey.steps[0])
        stages.queue_messages(context, journey.steps[0], [])
        stages.send(context, journey.steps[0], senders.sandbox_channel(journey.steps[0]))
        return sandbox.messages()

    sent = mail(CAME)
    assert [message["to_address"] for message in sent] == ["ana@example.com"]
    with database.transaction() as connection:
        assert referrals.link_of(connection, "ana") in sent[0]["text"]
    assert link not in sent[0]["text"]
    assert shop_of_friends.rows("select reason from lifecycle.messages where customer_id = 'ben'") == [("no_consent",)]
    order = shop_of_friends.friend("cleo", of="ben", on=CAME)
    assert shop_of_friends.refused() == {order: None}
    assert shop_of_friends.settle().credits == 1
    shop_of_friends.accrue(CAME, CONFIRMED)
    assert shop_of_friends.points("ben") == 500


def test_only_whoever_reads_their_link_is_given_one(shop: Shop, project: ProjectBuilder) -> None:
    """In whatever language, and from a layout as well."""
    project.segment("letter", "all", SEGMENT)
    project.template("layouts", "friends.sms.j2", "{{ referral_link }}{% block words %}{% endblock %}")
    project.template(
        "letter", "built.sms.j2", '{% extends "layouts/friends.sms.j2" %}{% block words %}STOP{% endblock %}'
    )
    project.template("letter", "translated.sms.j2", "STOP")
    project.template("letter", "translated.ja.sms.j2", "{{ referral_link }} STOP")
    project.template("letter", "without.sms.j2", 'Hi, {{ link("shop") }} STOP')
    names = ["built", "translated", "without"]
    journey = Journey("letter", steps=[Step(name, segment="all.sql", message=Sms(name)) for name in names])
    assert [rendering.prints(journey, step, "referral_link") for step in journey.steps] == [True, True, False]


def test_the_link_of_friends_is_no_link_of_a_message() -> None:
    """Where it leads depends on whose it is."""
    with pytest.raises(LifecycleError, match="whose link"):
        links.target("reactivation", "referral")
    assert links.referral_target("CDFGHJKLMNPQ") == "https://shop.example/welcome?ref=CDFGHJKLMNPQ"


def test_nothing_of_an_erased_friend_is_left_but_ids(shop_of_friends: Referrals) -> None:
    """An erasure removes the person from the shop; what referrals keep are ids, codes, times and sums."""
    shop_of_friends.friend("ben", of="ana")
    shop_of_friends.settle()
    shop_of_friends.shop.connection.execute("delete from imported.customers where customer_id = 'ben'")
    assert shop_of_friends.account("ana").confirmed == 1
    for table in ("referral_codes", "referral_claims", "referral_cash", "free_shipping"):
        for (row,) in shop_of_friends.rows(f"select t::text from lifecycle.{table} as t"):
            assert "@" not in row
            assert "+44" not in row


def test_the_link_of_an_erased_customer_still_leads_and_gives_nothing_personal(shop_of_friends: Referrals) -> None:
    key = shop_of_friends.code("ana")
    shop_of_friends.shop.connection.execute("delete from imported.customers")
    with database.transaction() as connection:
        assert referrals.is_known(connection, key)


# --- at scale ---------------------------------------------------------------------------------------------------------


def test_an_order_without_a_code_costs_nothing(empty_database: str) -> None:
    """Claims are found by the index of orders that came with a code, not among all orders."""
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        connection.execute((PROJECT / "tests/lifecycle/csv_import/large_shop.sql").read_bytes())
        connection.execute("analyze imported.orders, imported.customers")
        statement = database.statement("engine/referrals/recognise.sql")
        plan = "\n".join(row[0] for row in connection.execute(f"explain {statement}".encode()).fetchall())
    assert "orders_with_referral" in plan
    assert "Seq Scan on orders" not in plan
