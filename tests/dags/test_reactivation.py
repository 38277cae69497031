"""The reactivation ladder over 120 days (J-10): what each person got, on which day, and how it ended for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

import psycopg
import pytest

from tests.conftest import plain
from tests.journey_runner import JourneyRunner, link_in, receiver
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

START = date(2026, 3, 1)

PHONES = {
    "silent": "+33639980001",
    "clicker": "+33639980002",
    "late_clicker": "+33639980003",
    "buyer": "+33639980004",
    "visitor": "+33639980005",
    "refuser": "+33639980006",
    "without_consent": "+33639980007",
    "japanese": "+819012345678",
}


def day(number: int) -> date:
    """The n-th day after everybody's order."""
    return START + timedelta(days=number)


class Diary(NamedTuple):
    """What happened in 120 days."""

    runner: JourneyRunner
    sandbox: SandboxClient
    connection: psycopg.Connection

    def texts(self, person: str) -> list[str]:
        """What the person received, oldest first."""
        return [message["text"] for message in self.sandbox.messages(PHONES[person])]

    def decisions(self, person: str) -> list[tuple[str, int, str, str | None]]:
        """Step, day, state and reason of everything that was ever due."""
        found = self.connection.execute(
            "select step, run_day - %s, send_state, reason from lifecycle.messages "
            "where customer_id = %s order by run_day",
            (START, person),
        )
        return list(found.fetchall())

    def exit(self, person: str) -> str | None:
        """How the ladder ended for the person's first order."""
        found = self.connection.execute(
            "select exit_reason from lifecycle.enrollments where customer_id = %s order by entered_at limit 1",
            (person,),
        ).fetchone()
        return found[0] if found else "never entered"

    def open_link(self, person: str) -> None:
        """The person taps the link in the newest message."""
        answer = receiver().get(link_in(self.texts(person)[-1]))
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def diary(database_url: str, sandbox_server: str) -> Iterator[Diary]:
    """120 days of the ladder: the people react on the days their names promise."""
    with (
        pytest.MonkeyPatch.context() as environment,
        psycopg.connect(plain(database_url), autocommit=True) as connection,
    ):
        environment.setenv("LIFECYCLE_SANDBOX_URL", sandbox_server)
        sandbox = SandboxClient(sandbox_server)
        sandbox.clear()
        shop = Shop(connection)
        for person, phone in PHONES.items():
            locale = "ja" if person == "japanese" else "en"
            shop.customer(
                person, phone=phone, first_name=person.title(), locale=locale, sms_consent=person != "without_consent"
            )
            shop.order(person, START)
        shop.order("buyer", day(45))
        shop.visit("visitor", day(40))
        runner = JourneyRunner("reactivation", datetime.now(timezone.utc).date())
        diary = Diary(runner, sandbox, connection)
        runner.run_range(day(1), day(30))
        diary.open_link("clicker")
        runner.run_range(day(31), day(60))
        diary.open_link("late_clicker")
        address = receiver()
        refusal = connection.execute(
            "select code from lifecycle.links inner join lifecycle.messages using (message_id) "
            "where customer_id = 'refuser' and name = 'unsubscribe' limit 1"
        ).fetchone()
        assert refusal is not None
        assert address.post(f"/u/{refusal[0]}").status_code == 200
        runner.run_range(day(61), day(120))
        yield diary


def test_a_silent_person_gets_survey_contest_and_coupon_on_days_30_60_and_90(diary: Diary) -> None:
    assert diary.decisions("silent") == [
        ("survey", 30, "accepted", None),
        ("contest", 60, "accepted", None),
        ("coupon", 90, "accepted", None),
    ]
    assert len(diary.texts("silent")) == 3


def test_whoever_never_clicked_stops_receiving_marketing_sms(diary: Diary) -> None:
    assert diary.exit("silent") == "sunset"
    found = diary.connection.execute(
        "select channel, is_suppressed from lifecycle.contacts where customer_id = 'silent' order by channel"
    ).fetchall()
    assert found == [("email", False), ("sms", True)]


def test_a_clicker_of_the_survey_gets_neither_contest_nor_coupon(diary: Diary) -> None:
    assert len(diary.texts("clicker")) == 1
    assert diary.exit("clicker") == "converted"
    assert [decision for decision in diary.decisions("clicker") if decision[2] == "accepted"] == [
        ("survey", 30, "accepted", None)
    ]


def test_a_clicker_of_the_contest_gets_no_coupon_and_stays_reachable(diary: Diary) -> None:
    assert len(diary.texts("late_clicker")) == 2
    assert diary.exit("late_clicker") == "converted"
    found = diary.connection.execute(
        "select is_suppressed from lifecycle.contacts where customer_id = 'late_clicker' and channel = 'sms'"
    ).fetchone()
    assert found == (False,)


def test_an_order_on_day_45_ends_the_ladder_and_starts_the_next_one(diary: Diary) -> None:
    assert diary.exit("buyer") == "converted"
    sent = [(step, number) for step, number, state, _ in diary.decisions("buyer") if state == "accepted"]
    # 30 days after the first order, then 30 and 60 days after the second: nothing on day 60 or 90 of the first.
    assert sent == [("survey", 30), ("survey", 75), ("contest", 105)]


def test_a_visit_takes_a_person_out_of_the_ladder(diary: Diary) -> None:
    assert diary.exit("visitor") == "converted"
    assert len(diary.texts("visitor")) == 1


def test_a_refusal_counts_at_once_and_its_reason_is_kept(diary: Diary) -> None:
    assert len(diary.texts("refuser")) == 2
    assert diary.decisions("refuser")[-1] == ("coupon", 90, "skipped", "no_consent")


def test_nobody_without_consent_is_messaged_but_every_step_has_its_reason(diary: Diary) -> None:
    assert diary.texts("without_consent") == []
    assert [reason for *_, reason in diary.decisions("without_consent")] == ["no_consent"] * 3


def test_a_japanese_customer_reads_japanese(diary: Diary) -> None:
    assert "アンケート" in diary.texts("japanese")[0]
    assert "ギフト券" in diary.texts("japanese")[1]


def test_running_days_again_sends_nothing_twice(diary: Diary) -> None:
    before = len(diary.sandbox.messages())
    for number in (30, 60, 60, 75, 90, 105):
        diary.runner.run(day(number))
    assert len(diary.sandbox.messages()) == before


def test_a_late_click_lifts_the_sunset_again(diary: Diary) -> None:
    diary.open_link("silent")
    found = diary.connection.execute(
        "select is_suppressed from lifecycle.contacts where customer_id = 'silent' and channel = 'sms'"
    ).fetchone()
    assert found == (False,)
