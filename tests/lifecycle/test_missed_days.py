"""Missed days come to the same decisions in whatever order they are repaired (architecture §5, reliability G12)."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import PROJECT
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import csv_import, journeys, missed_days, replay, reports, runs, stages
from lifecycle.channels import OutgoingSms, Receipt

SWITCHED_ON = date(2026, 3, 1)
FIRST_MISSED = date(2026, 3, 6)
LAST_MISSED = FIRST_MISSED + timedelta(days=44)
TODAY = LAST_MISSED + timedelta(days=1)
MISSED = [FIRST_MISSED + timedelta(days=number) for number in range(45)]
MAX_LATE = 3
# LIFECYCLE_TEST_PEOPLE=10000 repeats the measurement of reliability G12.
PEOPLE = int(os.environ.get("LIFECYCLE_TEST_PEOPLE", "250"))
UCI = PROJECT.parent / "shared" / "data" / "uci"


@dataclass
class Provider:
    """An SMS provider that takes everything."""

    received: list[OutgoingSms] = field(default_factory=list)

    def send(self, message: OutgoingSms) -> Receipt:
        self.received.append(message)
        return Receipt("accepted", provider_id=f"SM{len(self.received)}", http_status=201)


@dataclass
class Ladder:
    """The reactivation ladder on a shop; every run is executed on TODAY unless it is said otherwise."""

    shop: Shop
    declared: Any = field(default_factory=lambda: journeys.load("reactivation"))
    provider: Provider = field(default_factory=Provider)

    def run(self, day: date, *, today: date | None = TODAY) -> dict[str, Any]:
        wall = datetime.now(timezone.utc).date()
        context = runs.for_day(self.declared.journey, day, self.declared.zone, today=today, clock=wall)
        return stages.run_all(context, lambda _: self.provider)  # type: ignore[arg-type, return-value]

    def in_time(self, first: date, last: date) -> None:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            self.run(day, today=day)

    def decisions(self) -> dict[tuple[str, str, str], str]:
        found = self.shop.connection.execute(
            "select step, customer_id, anchor, coalesce(reason, 'send') from lifecycle.messages"
        ).fetchall()
        return {tuple(row[:3]): row[3] for row in found}

    def digest(self) -> str:
        return reports.digest("reactivation")[0]

    def forget(self) -> None:
        tables = "messages, attempts, links, conversions, runs, audiences, selections, enrollments, suppressions"
        for table in tables.split(", "):
            self.shop.connection.execute(f"delete from lifecycle.{table}".encode())


@pytest.fixture
def ladder(shop: Shop) -> Ladder:
    """Some hundred people who fall silent, come back, order twice, refuse, or share a phone, around the missed days."""
    chance = random.Random(12)
    for number in range(PEOPLE):
        person = f"person-{number:03d}"
        phone = "+33639980001" if number in (7, 8) else f"+336{30_000_000 + number:08d}"
        shop.customer(person, phone=phone, sms_consent=chance.random() > 0.1)
        last_seen = date(2026, 1, 5) + timedelta(days=chance.randrange(90))
        shop.order(person, last_seen)
        if chance.random() < 0.5:
            again = last_seen + timedelta(days=chance.randrange(1, 75))
            if again < TODAY:
                (shop.order if chance.random() < 0.5 else shop.visit)(person, again)
    return Ladder(shop)


def forward(ladder: Ladder, days: list[date]) -> None:
    for day in days:
        ladder.run(day)


def backward(ladder: Ladder, days: list[date]) -> None:
    forward(ladder, days[::-1])


def shuffled(ladder: Ladder, days: list[date]) -> None:
    forward(ladder, random.Random(3).sample(days, len(days)))


def two_at_a_time(ladder: Ladder, days: list[date]) -> None:
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(ladder.run, days))


def all_again_after_the_first_day_of_today(ladder: Ladder, days: list[date]) -> None:
    """The scheduler is back and runs today first; then everything is repaired, twice."""
    ladder.run(TODAY)
    backward(ladder, days)
    forward(ladder, days)


ORDERS = [forward, backward, shuffled, two_at_a_time, all_again_after_the_first_day_of_today]


@pytest.fixture
def repaired(ladder: Ladder) -> Callable[[Any], Ladder]:
    """The ladder after an outage of 45 days that was repaired on the next day in some order."""

    def repair(order: Callable[[Ladder, list[date]], None]) -> Ladder:
        ladder.forget()
        ladder.in_time(SWITCHED_ON, FIRST_MISSED - timedelta(days=1))
        order(ladder, MISSED)
        ladder.run(TODAY)
        return ladder

    return repair


@pytest.mark.needs_processors
def test_whatever_the_order_of_repair_everybody_gets_the_same(repaired: Callable[[Any], Ladder]) -> None:
    digests = set()
    decided = {}
    for order in ORDERS:
        ladder = repaired(order)
        digests.add(ladder.digest())
        decided[order.__name__] = ladder.decisions()
        nobody_twice_or_too_late(ladder)
    for name, decisions in decided.items():
        assert decisions == decided["forward"], name
    assert len(digests) == 1
    assert {"stale", "past_entry", "no_consent", "send"} <= set(decided["forward"].values())


def nobody_twice_or_too_late(ladder: Ladder) -> None:
    """Every due step has one row, nobody gets two on one day, and nothing is sent later than its lateness."""
    due = {
        (row.step, row.customer_id, row.anchor) for row in replay.without_policy(ladder.declared, SWITCHED_ON, TODAY)
    }
    assert set(ladder.decisions()) == due
    sent = ladder.shop.connection.execute(
        "select run_day, planned_on, customer_id from lifecycle.messages where send_state = 'accepted'"
    ).fetchall()
    assert len(sent) > 20
    assert all((planned_on - run_day).days <= MAX_LATE for run_day, planned_on, _ in sent)
    assert max(Counter((planned_on, customer) for _, planned_on, customer in sent).values()) == 1


@pytest.mark.skipif(not UCI.is_dir(), reason="the real data set is not at hand")
def test_on_real_data_skipped_days_that_are_repaired_the_next_day_lose_nobody(shop: Shop) -> None:
    csv_import.import_folder(UCI, replace=False, shift_to_today=False)
    days = [date(2011, 9, 20) + timedelta(days=number) for number in range(20)]
    skipped = set(random.Random(11).sample(days[1:-1], 10))
    ladder = Ladder(shop)
    ladder.in_time(days[0], days[-1])
    uninterrupted = ladder.decisions()
    ladder.forget()
    waiting: list[date] = []
    for day in days:
        if day in skipped:
            waiting.append(day)
            continue
        ladder.run(day, today=day)
        for missed in reversed(waiting):
            ladder.run(missed, today=day)
        waiting = []
    repaired = ladder.decisions()
    assert len(uninterrupted) > 500
    assert set(repaired) == set(uninterrupted)
    sent = {outcome: list(repaired.values()).count(outcome) for outcome in ("send", "stale")}
    assert sent["send"] > 50
    assert sent["stale"] > 0


def test_days_played_as_if_they_were_today_end_the_same_in_any_order(ladder: Ladder) -> None:
    """The first run of a journey may be the last of its days: whoever enters on an earlier one is let in again."""
    # After a visit a step may be due twice about one order, and then the first day that is played decides.
    ladder.shop.connection.execute("delete from imported.page_views")
    days = MISSED[:36]
    decided = []
    for order in (days, days[::-1], random.Random(5).sample(days, len(days))):
        ladder.forget()
        for day in order:
            ladder.run(day, today=day)
        decided.append(ladder.decisions())
    assert decided[1] == decided[0]
    assert decided[2] == decided[0]
    assert "past_entry" in decided[0].values()


def test_who_comes_back_on_a_played_day_gets_its_message_whatever_later_days_know(shop: Shop) -> None:
    shop.customer("ana")
    shop.order("ana", date(2026, 2, 7))
    shop.order("ana", datetime(2026, 4, 8, 0, 30, tzinfo=timezone.utc))
    ladder = Ladder(shop)
    days = [date(2026, 3, 9), date(2026, 4, 8), date(2026, 4, 9)]
    for order in itertools.permutations(days):
        ladder.forget()
        for day in order:
            ladder.run(day, today=day)
        decided = {step: outcome for (step, _, _), outcome in ladder.decisions().items()}
        assert decided == {"survey": "send", "contest": "send"}, order
        assert len(ladder.provider.received) == 2, order
        ladder.provider.received.clear()


def test_a_person_who_reached_the_next_step_meanwhile_gets_that_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    two_days_apart(ProjectBuilder(tmp_path))
    shop.customer("bert")
    shop.customer("ana", signed_up_at=datetime(2026, 3, 1, 12, tzinfo=timezone.utc))
    ladder = Ladder(shop, journeys.load("welcome"))
    ladder.run(date(2026, 2, 28), today=date(2026, 2, 28))
    # Due for `hello` on the 2nd and for `tips` on the 4th; both are repaired on the 5th, the older one first.
    for day in (date(2026, 3, 2), date(2026, 3, 4)):
        ladder.run(day, today=date(2026, 3, 5))
    assert ladder.decisions() == {("hello", "ana", "signup"): "superseded", ("tips", "ana", "signup"): "send"}


def two_days_apart(project: ProjectBuilder) -> None:
    """A journey that says hello on the day after somebody signed up, and gives tips two days later."""
    project.dag(
        "welcome",
        'Journey(name="welcome", steps=[Step("hello", segment="one.sql", message=Sms("hello")), '
        'Step("tips", segment="three.sql", message=Sms("tips"))])',
    )
    for name, days in (("one", 1), ("three", 3)):
        project.segment(
            "welcome",
            name,
            "select customers.customer_id, 'signup' as anchor from shop.customers as customers "
            f"where customers.signed_up_at >= as_of() - interval '{days} days' "
            f"and customers.signed_up_at < as_of() - interval '{days - 1} days'\n",
        )
    for name in ("hello", "tips"):
        project.template("welcome", f"{name}.sms.j2", "Hello, STOP to end\n")


def test_who_converted_since_a_missed_day_is_not_chased_for_it(shop: Shop) -> None:
    shop.customer("back")
    shop.order("back", date(2026, 2, 1))
    ladder = Ladder(shop)
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    shop.order("back", date(2026, 3, 4))
    # Silent for 30 days on the 3rd; the day is repaired on the 5th, when the order of the 4th is known.
    ladder.run(date(2026, 3, 3), today=date(2026, 3, 5))
    assert list(ladder.decisions().values()) == ["converted"]


def test_unrepaired_days_do_not_shut_people_out(shop: Shop) -> None:
    shop.customer("silent")
    shop.order("silent", date(2026, 2, 1))
    ladder = Ladder(shop)
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    # The survey's day, 3 March, is never run; 30 days later they are in the ladder nevertheless.
    ladder.run(date(2026, 4, 2), today=date(2026, 4, 2))
    assert {key[0]: value for key, value in ladder.decisions().items()} == {"contest": "send"}


def test_missed_days_are_listed_with_the_command_that_repairs_them(ladder: Ladder) -> None:
    now = datetime(2026, 3, 9, 12, tzinfo=timezone.utc)
    assert missed_days.listed(ladder.declared, now) == []
    for day in (date(2026, 3, 1), date(2026, 3, 4), date(2026, 3, 8)):
        ladder.run(day, today=day)
    found = missed_days.listed(ladder.declared, now)
    assert [(span.first.day, span.last.day) for span in found] == [(2, 3), (5, 7), (9, 9)]
    assert found[0].repair() == "lifecycle backfill reactivation --from 2026-03-02 --to 2026-03-03"


def test_a_day_is_not_missed_before_its_hour(ladder: Ladder) -> None:
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    assert missed_days.listed(ladder.declared, datetime(2026, 3, 2, 9, 59, tzinfo=timezone.utc)) == []
    assert missed_days.listed(ladder.declared, datetime(2026, 3, 2, 10, 1, tzinfo=timezone.utc)) != []


def test_a_day_on_which_the_run_failed_is_missed(ladder: Ladder) -> None:
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    context = runs.for_day(ladder.declared.journey, date(2026, 3, 2), ladder.declared.zone)
    stages.record_conversions(context)
    assert missed_days.listed(ladder.declared, datetime(2026, 3, 2, 12, tzinfo=timezone.utc)) != []


@pytest.mark.parametrize("days", [(3, 4, 5), (5, 4, 3), (4, 5, 3)])
def test_what_is_due_every_day_is_decided_by_the_newest_of_them(
    days: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    two_days_apart(project)
    since = "select customers.customer_id, 'signup' as anchor from shop.customers as customers "
    for name, age in (("one", 1), ("three", 30)):
        project.segment("welcome", name, f"{since} where customers.signed_up_at < as_of() - interval '{age} days'\n")
    shop.customer("ana", signed_up_at=datetime(2026, 2, 27, 12, tzinfo=timezone.utc))
    ladder = Ladder(shop, journeys.load("welcome"))
    shop.customer("bert", signed_up_at=datetime(2026, 3, 2, 12, tzinfo=timezone.utc))
    ladder.run(date(2026, 3, 1), today=date(2026, 3, 1))
    # Bert was due first on the 4th, and on every day since; on the 10th the first days are too late.
    for day in (*days, 6, 10, 7, 8, 9):
        ladder.run(date(2026, 3, day), today=date(2026, 3, 10))
    assert ladder.decisions()["hello", "bert", "signup"] == "send"
    sent = shop.connection.execute("select run_day from lifecycle.messages where customer_id = 'bert'").fetchall()
    assert sent == [(date(2026, 3, 10),)]


def test_a_late_message_takes_the_day_it_is_sent_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_SMS_CAP", "1/2")
    project = ProjectBuilder(tmp_path)
    shop.customer("ana")
    journeys_by_day = {"news": 10, "offers": 9, "spring": 13, "summer": 17}
    for name, day in journeys_by_day.items():
        project.sms_journey(name)
        due = f"select 'ana' as customer_id, 'ana' as anchor where as_of()::date = date '2026-03-{day}'\n"
        project.segment(name, "all", due)

    def outcome(name: str, *, today: int) -> str:
        ladder = Ladder(shop, journeys.load(name))
        ladder.run(date(2026, 3, journeys_by_day[name]), today=date(2026, 3, today))
        found = shop.connection.execute(
            "select coalesce(reason, send_state) from lifecycle.messages where journey = %s", (name,)
        ).fetchone()
        return found[0] if found else "nothing"

    assert outcome("news", today=10) == "accepted"
    assert outcome("offers", today=10) == "lost_to(news)"
    assert outcome("spring", today=16) == "accepted"
    assert outcome("summer", today=17) == "frequency_cap"


def test_whoever_got_the_last_message_late_still_has_a_day_to_react(shop: Shop) -> None:
    shop.customer("silent")
    shop.order("silent", date(2026, 1, 1))
    ladder = Ladder(shop)
    ladder.in_time(date(2026, 1, 30), date(2026, 2, 1))
    # The coupon of 1 April is sent on the 3rd; a day that is repaired after it must not call them unmoved.
    for day in (1, 2):
        ladder.run(date(2026, 4, day), today=date(2026, 4, 3))
    ladder.run(date(2026, 4, 3), today=date(2026, 4, 3))
    assert ladder.decisions()["coupon", "silent", "order-0001"] == "send"
    assert shop.connection.execute("select count(*) from lifecycle.suppressions").fetchone() == (0,)
    ladder.run(date(2026, 4, 4), today=date(2026, 4, 4))
    assert shop.connection.execute("select reason from lifecycle.suppressions").fetchall() == [("sunset",)]
