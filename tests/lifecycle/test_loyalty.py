"""The points ledger: every fact once, whatever order days are run in, whoever writes at the same time, whatever crashes.

The suite plays small numbers. `LIFECYCLE_TEST_OPERATIONS=10000` is the size of G10, `LIFECYCLE_TEST_KILLS=50` that of its
crashes, and `LIFECYCLE_TEST_STORIES=2000 LIFECYCLE_TEST_STEPS=40` that of its stories.
"""

from __future__ import annotations

import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import floor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy.exc import IntegrityError
from tests.conftest import PROJECT
from tests.shop import Shop

from lifecycle import csv_import, database, demo_shop, loyalty
from lifecycle.errors import LifecycleError
from lifecycle.journey import Voucher
from lifecycle.loyalty import ConflictError, Entry, NotEnoughPointsError
from lifecycle.programme import Programme, Reward, Tier
from lifecycle.vouchers import IssuedVoucher

# Read now: the tests themselves know no settings of the outside.
OPERATIONS, KILLS, STORIES, STEPS = (
    int(os.environ.get(f"LIFECYCLE_TEST_{name}", default))
    for name, default in (("OPERATIONS", "1500"), ("KILLS", "6"), ("STORIES", "15"), ("STEPS", "20"))
)
UCI = PROJECT.parent / "shared" / "data" / "uci"
RULES = ("ordered", "refunded", "cancelled", "joined_list", "completed_profile", "connected_social", "answered_survey")
REWARDS = (
    Reward("twenty_percent", points=200, voucher=Voucher(percent_off=20, valid_days=30)),
    Reward("tote_bag", points=800, product="tote-bag"),
    Reward("clean_water", points=100, charity="clean-water"),
)
TIERS = (Tier("silver", from_points=2_000), Tier("gold", from_points=8_000, percent_off=50, draw_entries=3))
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FIRST, LAST = date(2026, 3, 1), date(2026, 3, 10)


def programme() -> Programme:
    made = Programme("loyalty_points", rules=RULES, rewards=REWARDS, tiers=TIERS)
    made.schedule("0 3 * * *", "Europe/London")
    return made


def ledger(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """What the ledger says, revisions and the order of writing aside."""
    return connection.execute(
        "select fact, kind, customer_id, min(occurred_at), sum(requested), sum(points) "
        "from lifecycle.points_entries inner join lifecycle.points_accounts using (account_id) "
        "group by fact, kind, customer_id order by fact"
    ).fetchall()


def tier_periods(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Who was in which tier, when."""
    return connection.execute(
        "select customer_id, since, until, tier, changed_from from lifecycle.tier_periods "
        "inner join lifecycle.points_accounts using (account_id) order by customer_id, since"
    ).fetchall()


def balances(connection: psycopg.Connection[Any]) -> dict[str, int]:
    found = connection.execute(
        "select customer_id, sum(points)::bigint from lifecycle.points_entries "
        "inner join lifecycle.points_accounts using (account_id) group by customer_id"
    ).fetchall()
    return dict(found)


def post(entry: Entry) -> loyalty.Posted:
    with database.transaction() as connection:
        return loyalty.post(connection, entry)


def refund(shop: Shop, customer: str, on: date, cents: int, order_id: str | None = None) -> None:
    at = datetime(on.year, on.month, on.day, 13, tzinfo=timezone.utc)
    shop._insert(
        "refunds",
        {
            "refund_id": shop._next("refund"),
            "customer_id": customer,
            "refunded_at": at,
            "amount_cents": cents,
            "currency": "GBP",
            "order_id": order_id,
        },
    )


def event(shop: Shop, customer: str, name: str, on: date, properties: str = "{}") -> None:
    at = datetime(on.year, on.month, on.day, 13, tzinfo=timezone.utc)
    values = {"event_id": shop._next("event"), "customer_id": customer, "name": name, "occurred_at": at}
    shop._insert("events", values | {"properties": properties})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project whose files a test may spoil."""
    for name in ("include", "dags"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    return tmp_path


# --- earning ----------------------------------------------------------------------------------------------------------


def test_an_order_gives_ten_points_per_unit_rounded_down_and_a_refund_takes_them_back(shop: Shop) -> None:
    """L-01: 100.55 gives 1005 points; 0.49 refunded takes 4."""
    shop.customer("ana")
    shop.order("ana", FIRST, total_cents=10_055)
    refund(shop, "ana", FIRST, 49)
    assert loyalty.accrue(programme(), FIRST, FIRST) == 2
    assert balances(shop.connection) == {"ana": 1005 - 4}


def test_rate_and_rounding_are_settings(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_POINTS_PER_UNIT", "1.5")
    monkeypatch.setenv("LIFECYCLE_POINTS_ROUNDING", "up")
    shop.customer("ana")
    shop.order("ana", FIRST, total_cents=1_010)
    loyalty.accrue(programme(), FIRST, FIRST)
    assert balances(shop.connection) == {"ana": 16}


def test_a_cancelled_order_takes_back_what_its_refunds_have_not_taken(shop: Shop) -> None:
    shop.customer("ana")
    cancelled = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)
    order = shop.order("ana", FIRST, total_cents=10_000, cancelled_at=cancelled)
    refund(shop, "ana", date(2026, 3, 2), 2_000, order)
    refund(shop, "ana", date(2026, 3, 6), 8_000, order)
    for last, balance in ((1, 1000), (2, 800), (4, 0), (10, 0)):
        loyalty.accrue(programme(), FIRST, date(2026, 3, last))
        assert balances(shop.connection) == {"ana": balance}


def test_list_profile_and_networks_give_points_once(shop: Shop) -> None:
    """L-06, however often the shop says so."""
    shop.customer("ana")
    for on in (FIRST, LAST):
        event(shop, "ana", "joined_list", on)
        event(shop, "ana", "completed_profile", on)
        event(shop, "ana", "connected_social", on, '{"network": "instagram"}')
    event(shop, "ana", "connected_social", LAST, '{"network": "tiktok"}')
    for _ in range(2):
        loyalty.accrue(programme(), FIRST, LAST)
    assert balances(shop.connection) == {"ana": 100 + 100 + 50 + 50}


def test_answering_a_survey_gives_points_once_and_a_click_on_it_none(shop: Shop) -> None:
    """L-10: two answers to one survey are one; the next survey is another."""
    shop.customer("ana")
    for anchor, kinds in (("order-1", ("click", "answer", "entry")), ("order-2", ("answer",)), ("order-3", ("click",))):
        asked = survey(shop, "ana", anchor)
        for kind in kinds:
            react(shop, asked, kind)
    react(shop, survey(shop, "ana", "order-4"), "answer", is_machine=True)
    for _ in range(2):
        loyalty.accrue(programme(), FIRST, LAST)
    assert balances(shop.connection) == {"ana": 100}


def survey(shop: Shop, customer: str, anchor: str) -> Any:
    """A survey of the ladder that somebody got on the first day; returns the id of the message."""
    run = (
        "insert into lifecycle.runs (journey, as_of, run_day, run_type) values ('reactivation', %(day)s, %(day)s, 'manual') "
        "on conflict (journey, as_of) do update set run_type = 'manual' returning run_id"
    )
    message = (
        "insert into lifecycle.messages (run_id, journey, step, customer_id, anchor, as_of, run_day, planned_on, channel, "
        "template, template_sha, send_state) values (%(run)s, 'reactivation', 'survey', %(who)s, %(anchor)s, %(day)s, "
        "%(day)s, %(day)s, 'sms', 'survey', '', 'accepted') returning message_id"
    )
    ((run_id,),) = shop.connection.execute(run, {"day": FIRST}).fetchall()
    values = {"run": run_id, "who": customer, "anchor": anchor, "day": FIRST}
    ((message_id,),) = shop.connection.execute(message.encode(), values).fetchall()
    return message_id


def react(shop: Shop, message_id: Any, kind: str, *, is_machine: bool = False) -> None:
    shop.connection.execute(
        "insert into lifecycle.engagements (message_id, customer_id, journey, step, anchor, kind, is_machine, occurred_at) "
        "select message_id, customer_id, journey, step, anchor, %s, %s, %s from lifecycle.messages where message_id = %s",
        (kind, is_machine, NOON, message_id),
    )


def test_a_fact_that_arrives_late_is_accrued_when_its_day_is_accrued_again(shop: Shop) -> None:
    """Accrual has no lateness: it always catches up (architecture §5)."""
    shop.customer("ana")
    loyalty.accrue(programme(), FIRST, LAST)
    shop.order("ana", FIRST)
    assert loyalty.accrue(programme(), FIRST, LAST) == 1
    assert loyalty.accrue(programme(), FIRST, LAST) == 0


def test_check_proves_the_earning_rules_on_the_data(project: Path, shop: Shop) -> None:
    from lifecycle import checks

    shop.customer("ana")
    for _ in range(2):
        shop.order("ana", FIRST)
    rules = project / "include" / "sql" / "loyalty"
    for name, old, new in (
        ("ordered", "orders.order_id as fact", "orders.customer_id as fact"),
        ("refunded", "as points", "as point"),
        ("joined_list", "shop.events", "imported.events"),
        ("answered_survey", "50 as points", "null::bigint as points"),
    ):
        file = rules / f"{name}.sql"
        file.write_text(file.read_text().replace(old, new))
    shop.connection.execute("analyze")
    said = "\n".join(str(problem) for problem in checks.problems())
    assert "loyalty/ordered.sql: 1 of 2 rows repeat a fact" in said
    assert "refunded.sql: The column points is missing" in said
    assert re.search(r"joined_list\.sql:\d+:\d+: imported\.events is not part of the contract", said)


def test_a_rule_that_returns_a_fact_twice_is_refused_and_nothing_is_written(shop: Shop, project: Path) -> None:
    rule_file = project / "include" / "sql" / "loyalty" / "ordered.sql"
    rule_file.write_text(rule_file.read_text().replace("orders.order_id as fact", "orders.customer_id as fact"))
    shop.customer("ana")
    for _ in range(2):
        shop.order("ana", FIRST)
    with pytest.raises(LifecycleError, match=r"ordered\.sql: The fact ana comes twice\. Return each fact once"):
        loyalty.accrue(programme(), FIRST, FIRST)
    assert ledger(shop.connection) == []


@pytest.mark.parametrize("name", ["fact", "customer_id", "points"])
def test_a_fact_that_lacks_something_is_refused_and_nothing_is_written(shop: Shop, project: Path, name: str) -> None:
    rule_file = project / "include" / "sql" / "loyalty" / "ordered.sql"
    others = ", ".join(f"q.{one}" for one in ("fact", "customer_id", "occurred_at", "points") if one != name)
    rule_file.write_text(f"select {others}, null as {name} from ({rule_file.read_text()}) as q")
    shop.customer("ana")
    shop.order("ana", FIRST)
    with pytest.raises(LifecycleError, match=rf"ordered\.sql: A row has no {name}\. Leave such rows out"):
        loyalty.accrue(programme(), FIRST, FIRST)
    assert ledger(shop.connection) == []


# --- in any order -----------------------------------------------------------------------------------------------------


@pytest.fixture
def real_shop(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, Path, date, date]:
    """The UCI data, or the made-up shop where it is not beside the checkout; with its first and last day."""
    folder = UCI
    if not UCI.is_dir():
        folder = tmp_path / "shop"
        demo_shop.write_demo_shop(folder, today=date(2026, 3, 31))
    monkeypatch.setenv("LIFECYCLE_POINTS_PER_UNIT", "1")
    csv_import.import_folder(folder, replace=True)
    with (folder / "orders.csv").open() as file:
        days = sorted({datetime.fromisoformat(row["ordered_at"]).date() for row in csv.DictReader(file)})
    return shop, folder, days[0] - timedelta(days=1), days[-1] + timedelta(days=1)


@pytest.mark.needs_processors
def test_a_year_accrued_at_once_and_backward_in_pieces_is_the_same_ledger_and_the_right_one(
    real_shop: tuple[Shop, Path, date, date],
) -> None:
    """L-01, G11: held against plain arithmetic over the files."""
    shop, folder, first, last = real_shop
    loyalty.accrue(programme(), first, last)
    at_once, tiers_at_once = ledger(shop.connection), tier_periods(shop.connection)
    assert tiers_at_once
    expected: Counter[str] = Counter()
    for name, column, sign in (("orders", "total", 1), ("refunds", "amount", -1)):
        if (folder / f"{name}.csv").exists():
            with (folder / f"{name}.csv").open() as file:
                for row in csv.DictReader(file):
                    expected[row["customer_id"]] += sign * floor(Decimal(row[column]))
    assert {who: points for who, points in balances(shop.connection).items() if points} == {
        who: points for who, points in expected.items() if points
    }
    with database.transaction() as connection:
        totals = loyalty.totals(connection)
    if folder == UCI:
        assert totals == (8_902_670, 609_431, 8_293_239, 41)
        assert (balances(shop.connection)["12346"], balances(shop.connection)["16446"]) == (0, 2)
    start_again(shop)
    for since, until in pieces_backward(first, last):
        loyalty.accrue(programme(), since, until)
    assert ledger(shop.connection) == at_once
    assert tier_periods(shop.connection) == tiers_at_once
    assert loyalty.require_agreement(programme()) == 0


def pieces_backward(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Three weeks day by day, then four weeks at a time, as a year of days takes minutes."""
    until = last
    while until >= first:
        days = 1 if last - until < timedelta(days=21) else 28
        since = max(first, until - timedelta(days=days - 1))
        yield since, until
        until = since - timedelta(days=1)


def start_again(shop: Shop) -> None:
    """An empty ledger, for the comparison; the product itself cannot do this."""
    with shop.connection.transaction():
        shop.connection.execute("set local session_replication_role = replica")
        shop.connection.execute(
            "truncate lifecycle.points_entries, lifecycle.points_accounts, lifecycle.accrued_days, lifecycle.tier_periods"
        )


@pytest.mark.parametrize(("facts", "loops"), [(10_000, "on"), (10_001, "off")])
def test_many_facts_are_never_joined_by_a_loop(shop: Shop, facts: int, loops: str) -> None:
    """While a transaction fills the ledger it may look empty to the planner: an accrual of a million did not end."""
    shop.customer("ana")
    shop.connection.execute(
        "insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency) "
        "select 'many-' || number, 'ana', %s, 1000, 'GBP' from generate_series(1, %s) as number",
        [NOON, facts],
    )
    with database.transaction() as connection:
        loyalty.stage(connection, programme(), FIRST, FIRST)
        assert database.driver(connection).execute("show enable_nestloop").fetchone() == (loops,)


@pytest.mark.needs_processors
@pytest.mark.parametrize("policy", ["allow_debt", "clamp"])
def test_shuffled_repeated_and_parallel_days_end_in_the_same_balances(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """G11: every day three times, in any order, two at a time, with expiry and refunds."""
    monkeypatch.setenv("LIFECYCLE_POINTS_REFUNDS", policy)
    monkeypatch.setenv("LIFECYCLE_POINTS_EXPIRE_DAYS", "5")
    chance = random.Random(7)
    days = [FIRST + timedelta(days=number) for number in range(15)]
    for number in range(12):
        who = shop.customer(f"c-{number}")
        for _ in range(8):
            shop.order(who, chance.choice(days), total_cents=chance.randrange(100, 9_000))
        for _ in range(4):
            refund(shop, who, chance.choice(days), chance.randrange(100, 9_000))
    for day in days:
        loyalty.accrue(programme(), day, day)
    forward, tiers_forward = final(shop), tier_periods(shop.connection)
    assert tiers_forward
    assert policy == "allow_debt" or min(balances(shop.connection).values()) >= 0
    start_again(shop)
    thrice = days * 3
    chance.shuffle(thrice)
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(lambda day: loyalty.accrue(programme(), day, day), thrice))
    loyalty.accrue(programme(), days[-1], days[-1])
    assert final(shop) == forward
    assert tier_periods(shop.connection) == tiers_forward


def final(shop: Shop) -> list[tuple[Any, ...]]:
    """What the ledger says of every fact that moved points."""
    return [row for row in ledger(shop.connection) if row[-1]]


# --- never changed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "update lifecycle.points_entries set points = 1",
        "delete from lifecycle.points_entries",
        "truncate lifecycle.points_entries",
    ],
)
def test_nobody_changes_what_stands_in_the_ledger(shop: Shop, statement: str) -> None:
    """The owner of the tables included; the role that writes has not even the right."""
    shop.customer("ana")
    shop.order("ana", FIRST)
    loyalty.accrue(programme(), FIRST, FIRST)
    before = ledger(shop.connection)
    with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
        shop.connection.execute(statement.encode())
    shop.connection.execute("set role lifecycle_ledger")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        shop.connection.execute(statement.encode())
    shop.connection.execute("reset role")
    assert ledger(shop.connection) == before


def test_points_of_an_account_that_does_not_exist_are_refused(shop: Shop) -> None:
    """Asked once for all that a statement adds: one such entry among good ones refuses all of them."""
    shop.customer("ana")
    shop.order("ana", FIRST)
    loyalty.accrue(programme(), FIRST, FIRST)
    before = ledger(shop.connection)
    shop.connection.execute("set role lifecycle_ledger")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="there is none of this number"):
        shop.connection.execute(
            "insert into lifecycle.points_entries (fact, kind, account_id, other_side, requested, points, occurred_at) "
            "select 'adjustment/' || owner, 'adjusted', owner, 'adjusted', 1, 1, now() "
            "from (select account_id as owner from lifecycle.points_accounts union all select 0) as owners"
        )
    shop.connection.execute("reset role")
    assert ledger(shop.connection) == before


def test_an_account_is_looked_up_by_its_number_whatever_the_planner_believes(shop: Shop) -> None:
    """Accounts that were analysed while a transaction opened them look like one: owners times accounts did not end."""
    shop.connection.execute(
        "insert into lifecycle.points_accounts (customer_id) select generate_series(1, 30000)::text"
    )
    shop.connection.execute(
        "update pg_class set reltuples = 0, relpages = 1 where oid = 'lifecycle.points_accounts'::regclass"
    )
    with shop.connection.transaction():
        shop.connection.execute("set local statement_timeout = '10s'")
        shop.connection.execute(
            "insert into lifecycle.points_entries (fact, kind, account_id, other_side, requested, points, occurred_at) "
            "select 'adjustment/' || account_id, 'adjusted', account_id, 'adjusted', 1, 1, now() "
            "from lifecycle.points_accounts"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "delete from lifecycle.points_accounts",
        "truncate lifecycle.points_accounts",
        "update lifecycle.points_accounts set account_id = default",
    ],
)
def test_an_account_stays_for_ever_and_may_forget_whose_it_is(shop: Shop, statement: str) -> None:
    """Its entries would be nobody's; an erased customer leaves a nameless account behind."""
    shop.customer("ana")
    shop.order("ana", FIRST)
    loyalty.accrue(programme(), FIRST, FIRST)
    with pytest.raises(psycopg.errors.RaiseException, match="stays for ever"):
        shop.connection.execute(statement.encode())
    shop.connection.execute("update lifecycle.points_accounts set customer_id = null")


def test_both_sides_of_every_fact_sum_up_to_nothing(shop: Shop) -> None:
    shop.customer("ana")
    shop.order("ana", FIRST)
    refund(shop, "ana", FIRST, 300)
    loyalty.accrue(programme(), FIRST, FIRST)
    post(Entry("redemption/1", "redeemed", "ana", -50, NOON, "donated/clean-water"))
    lines = shop.connection.execute(
        "select fact, count(*), sum(points) from lifecycle.points_lines group by fact order by fact"
    ).fetchall()
    assert [line[1:] for line in lines] == [(2, 0)] * 3
    sides = shop.connection.execute(
        "select account, sum(points) from lifecycle.points_lines where account not like 'customer%' group by account"
    ).fetchall()
    assert dict(sides) == {"earned": -100, "reversed": 30, "donated/clean-water": 50}


# --- single entries ---------------------------------------------------------------------------------------------------


def test_the_same_fact_twice_is_a_replay_and_with_another_content_a_conflict(shop: Shop) -> None:
    given = Entry("adjustment/1", "adjusted", "ana", 100, NOON, details={"who": "eve", "why": "parcel was lost"})
    assert post(given) == (100, False)
    assert post(given) == (100, True)
    for other in (replace(given, points=101), replace(given, customer_id="ben"), replace(given, details={"why": "x"})):
        with pytest.raises(ConflictError, match="adjustment/1 is in the ledger already, and differs"):
            post(other)
    assert balances(shop.connection) == {"ana": 100}


def test_nobody_redeems_what_they_do_not_have(shop: Shop) -> None:
    post(Entry("adjustment/1", "adjusted", "ana", 199, NOON))
    with pytest.raises(NotEnoughPointsError, match="There are 199 points, and it takes 200"):
        post(Entry("redemption/1", "redeemed", "ana", -200, NOON))
    post(Entry("adjustment/2", "adjusted", "ana", 1, NOON))
    assert post(Entry("redemption/1", "redeemed", "ana", -200, NOON)) == (-200, False)
    assert balances(shop.connection) == {"ana": 0}


def redeem(reward: str, key: str) -> IssuedVoucher | None:
    with database.transaction() as connection:
        return loyalty.redeem(connection, programme(), reward, "ana", key, NOON)


def test_two_hundred_points_buy_one_code_and_199_buy_none(shop: Shop) -> None:
    """L-02: code and lower balance in one transaction; asked again, the same code."""
    post(Entry("adjustment/1", "adjusted", "ana", 199, NOON))
    with pytest.raises(NotEnoughPointsError):
        redeem("twenty_percent", "a")
    post(Entry("adjustment/2", "adjusted", "ana", 1, NOON))
    first, again = redeem("twenty_percent", "a"), redeem("twenty_percent", "a")
    assert first
    assert first == again
    assert first.percent_off == 20
    assert balances(shop.connection) == {"ana": 0}
    assert shop.connection.execute("select count(*) from lifecycle.vouchers").fetchall() == [(1,)]


def test_a_code_that_cannot_be_made_takes_no_points(shop: Shop) -> None:
    """The transaction is one: what fails after the points were taken gives them back."""
    post(Entry("adjustment/1", "adjusted", "ana", 500, NOON))
    shop.connection.execute("alter table lifecycle.vouchers add constraint broken check (false) not valid")
    with pytest.raises(IntegrityError):
        redeem("twenty_percent", "a")
    assert balances(shop.connection) == {"ana": 500}


def test_a_donation_goes_to_the_charity_and_a_product_has_no_code(shop: Shop) -> None:
    """L-05."""
    post(Entry("adjustment/1", "adjusted", "ana", 1000, NOON))
    assert redeem("clean_water", "a") is None
    assert redeem("tote_bag", "b") is None
    with pytest.raises(ConflictError, match="redemption/a is in the ledger already"):
        redeem("tote_bag", "a")
    given = "select sum(points) from lifecycle.points_lines where account = 'donated/clean-water'"
    assert shop.connection.execute(given).fetchall() == [(100,)]


def test_who_adjusted_points_and_why_is_kept_and_nobody_is_left_with_less_than_nothing(shop: Shop) -> None:
    shop.customer("ana")
    with database.transaction() as connection:
        kept: dict[str, Any] = {"who": "eve", "why": "parcel was lost", "at": NOON}
        loyalty.adjust(connection, "ana", 30, key="a", **kept)
        with pytest.raises(NotEnoughPointsError):
            loyalty.adjust(connection, "ana", -31, key="b", **kept)
        with pytest.raises(LifecycleError, match="needs a reason"):
            loyalty.adjust(connection, "ana", -1, key="c", **{**kept, "why": " "})
    assert shop.connection.execute("select details from lifecycle.points_entries").fetchall() == [
        ({"who": "eve", "why": "parcel was lost"},)
    ]


def test_points_that_expired_this_minute_are_not_redeemed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the daily run has not looked yet."""
    monkeypatch.setenv("LIFECYCLE_POINTS_EXPIRE_DAYS", "5")
    shop.customer("ana")
    shop.order("ana", FIRST, total_cents=2_000)
    loyalty.accrue(programme(), FIRST, FIRST)
    last_moment = datetime(2026, 3, 6, 23, 59, 59, tzinfo=timezone.utc)
    post(Entry("redemption/1", "redeemed", "ana", -50, last_moment))
    with pytest.raises(NotEnoughPointsError, match="There are 0 points"):
        post(Entry("redemption/2", "redeemed", "ana", -50, last_moment + timedelta(seconds=1)))


@pytest.mark.needs_processors
def test_thousands_of_writers_at_once_lose_nothing_and_overdraw_nobody(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G10: 8 connections, 15 % retries, 2 % with the same key and another content."""
    monkeypatch.setenv("LIFECYCLE_POINTS_REFUNDS", "clamp")
    operations = [*_operations(OPERATIONS, random.Random(3))]
    with ThreadPoolExecutor(8) as workers:
        outcomes = list(workers.map(_outcome, operations))
    said = Counter(outcomes)
    wrong = sum(entry.details.get("differs", False) for entry in operations)
    assert said["conflict"] == wrong > 0
    assert said["replayed"] > 0
    assert min(balances(shop.connection).values()) >= 0
    written = {row[0]: row[-1] for row in ledger(shop.connection)}
    first_tries = {entry.fact for entry, outcome in zip(operations, outcomes, strict=True) if outcome == "written"}
    assert set(written) == first_tries
    ((unbalanced,),) = shop.connection.execute("select sum(points) from lifecycle.points_lines").fetchall()
    assert unbalanced == 0
    ((keys,),) = shop.connection.execute(
        "select count(*) from (select from lifecycle.points_lines group by fact having sum(points) <> 0) as uneven"
    ).fetchall()
    assert keys == 0


def _operations(count: int, chance: random.Random) -> list[Entry]:
    made: list[Entry] = []
    for number in range(count):
        draw = chance.random()
        if made and draw < 0.15:
            made.append(chance.choice([one for one in made[-400:] if not one.details.get("differs")]))
        elif made and draw < 0.17:
            # Sent after the one it contradicts has been answered: who comes first is not left to chance.
            earned = [one for one in made[:-64] if one.kind == "earned"]
            if earned:
                one = chance.choice(earned)
                made.append(replace(one, points=one.points + 1, details={"differs": True}))
        else:
            kind, sign = chance.choice([("earned", 1), ("earned", 1), ("redeemed", -1), ("reversed", -1)])
            who = f"c-{chance.randrange(50)}"
            made.append(Entry(f"{kind}/{number}", kind, who, sign * chance.randrange(1, 300), NOON))  # pyright: ignore[reportArgumentType]
    return made


def _outcome(entry: Entry) -> str:
    try:
        return "replayed" if post(entry).is_replay else "written"
    except ConflictError:
        return "conflict"
    except NotEnoughPointsError:
        return "declined"


@pytest.mark.needs_processors
def test_whoever_is_killed_in_the_middle_leaves_a_ledger_that_agrees_with_the_facts(shop: Shop) -> None:
    """G10: kill -9 of the accruing process, again and again, at any moment."""
    chance = random.Random(5)
    for number in range(300):
        who = shop.customer(f"c-{number}")
        for _ in range(4):
            shop.order(who, FIRST + timedelta(days=chance.randrange(10)), total_cents=chance.randrange(100, 9_000))
    for _ in range(KILLS):
        worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=PROJECT, stdout=subprocess.PIPE)
        assert worker.stdout
        worker.stdout.readline()
        time.sleep(chance.random() * 0.4)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert loyalty.differences(programme()) == []
    loyalty.accrue(programme(), FIRST, LAST)
    kept = sum(row[-1] for row in ledger(shop.connection) if row[1] == "earned")
    ((due,),) = shop.connection.execute("select sum(total_cents / 10) from imported.orders").fetchall()
    assert kept == due
    assert min(balances(shop.connection).values()) >= 0


WORKER = """
import itertools, os
from datetime import date, datetime, timedelta, timezone
from lifecycle import database, loyalty
from lifecycle.loyalty import Entry, NotEnoughPointsError
from tests.lifecycle.test_loyalty import FIRST, NOON, post, programme

print("begins", flush=True)
for number in itertools.count():
    loyalty.accrue(programme(), FIRST + timedelta(days=number % 10), FIRST + timedelta(days=number % 10))
    key = f"{os.getpid()}-{number}"
    try:
        post(Entry(f"redemption/{key}", "redeemed", f"c-{number % 300}", -20, NOON))
    except NotEnoughPointsError:
        pass
"""


class Stories(RuleBasedStateMachine):
    """The ledger beside a plain dictionary that does the same (G10)."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, int] = {}
        self.known: dict[str, Entry] = {}
        self.numbers = iter(range(10_000))
        self.prefix = f"{time.monotonic_ns()}"

    def _write(self, entry: Entry) -> str:
        outcome = _outcome(entry)
        if outcome == "written":
            self.known[entry.fact] = entry
        return outcome

    @rule(who=st.sampled_from("abc"), points=st.integers(1, 100))
    def earn(self, who: str, points: int) -> None:
        self._give(who, Entry(self._fact(), "earned", self._name(who), points, self._now()))

    @rule(who=st.sampled_from("abc"), points=st.integers(1, 100))
    def redeem(self, who: str, points: int) -> None:
        entry = Entry(self._fact(), "redeemed", self._name(who), -points, self._now())
        if self.model.get(self._name(who), 0) < points:
            assert self._write(entry) == "declined"
        else:
            self._give(who, entry)

    @rule(who=st.sampled_from("abc"), points=st.integers(1, 100))
    def refund(self, who: str, points: int) -> None:
        entry = Entry(self._fact(), "reversed", self._name(who), -points, self._now())
        assert self._write(entry) == "written"
        held = self.model.get(self._name(who), 0)
        self.model[self._name(who)] = held - min(points, held)

    @rule(chance=st.randoms(use_true_random=False))
    def try_again(self, chance: random.Random) -> None:
        if self.known:
            assert _outcome(chance.choice(sorted(self.known.values(), key=lambda one: one.fact))) == "replayed"

    @rule(chance=st.randoms(use_true_random=False))
    def contradict(self, chance: random.Random) -> None:
        if self.known:
            one = chance.choice(sorted(self.known.values(), key=lambda one: one.fact))
            assert _outcome(replace(one, points=one.points * 2)) == "conflict"

    @invariant()
    def the_ledger_says_what_the_dictionary_says(self) -> None:
        with database.transaction() as connection:
            for who, points in self.model.items():
                lines = loyalty.statement(connection, who)
                assert lines[-1].balance == points == sum(line.points for line in lines)

    def _give(self, who: str, entry: Entry) -> None:
        assert self._write(entry) == "written"
        self.model[self._name(who)] = self.model.get(self._name(who), 0) + entry.points

    def _fact(self) -> str:
        return f"story/{self.prefix}/{next(self.numbers)}"

    def _now(self) -> datetime:
        """Every event comes after the one before."""
        return NOON + timedelta(seconds=next(self.numbers))

    def _name(self, who: str) -> str:
        return f"{who}-{self.prefix}"


def test_the_ledger_does_what_a_plain_dictionary_does(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_POINTS_REFUNDS", "clamp")
    run_state_machine_as_test(
        Stories,
        settings=hypothesis_settings(
            max_examples=STORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            phases=[Phase.generate],
        ),
    )


# --- rebuilding -------------------------------------------------------------------------------------------------------


def test_what_was_changed_in_the_shop_after_it_was_accrued_is_found_and_corrected_by_further_entries(
    shop: Shop,
) -> None:
    shop.customer("ana")
    changed, removed = shop.order("ana", FIRST), shop.order("ana", FIRST)
    loyalty.accrue(programme(), FIRST, LAST)
    shop.connection.execute("update imported.orders set total_cents = 1500 where order_id = %s", [changed])
    shop.connection.execute("delete from imported.orders where order_id = %s", [removed])
    late = shop.order("ana", LAST, total_cents=300)
    found = loyalty.differences(programme())
    assert sorted(found) == sorted(
        [
            (f"ordered/{changed}", "ana", 100, 150, 1000, 1500),
            (f"ordered/{removed}", "ana", 100, 0, 1000, 0),
            (f"ordered/{late}", "ana", 0, 30, 0, 300),
        ]
    )
    assert balances(shop.connection) == {"ana": 200}
    loyalty.differences(programme(), repair=True)
    assert loyalty.differences(programme()) == []
    assert balances(shop.connection) == {"ana": 180}
