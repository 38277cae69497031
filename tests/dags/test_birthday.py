"""Birthdays (J-15, L-03): 35 % for 24 hours, once a year, on the day of the place where the person lives."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.journey_runner import JourneyRunner
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

BIRTHDAY = date(2026, 2, 28)


@pytest.fixture
def runner() -> JourneyRunner:
    return JourneyRunner("birthday", today=BIRTHDAY)


def test_a_birthday_brings_one_code_that_ends_after_24_hours_to_the_second(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    shop.customer("leap", email="leap@example.com", first_name="Lea", birthday=date(1992, 2, 29))
    shop.customer("nameless", email="nameless@example.com", locale="ja", birthday=date(1992, 2, 28))
    shop.customer("refuser", email="refuser@example.com", email_consent=False, birthday=date(1992, 2, 28))
    shop.customer("corrected", email="corrected@example.com", birthday=date(1992, 2, 28))
    shop.event("corrected", "birthday_changed", date(2026, 2, 20))
    runner.run_range(BIRTHDAY - timedelta(days=1), BIRTHDAY + timedelta(days=1))
    runner.run(BIRTHDAY)
    issued = shop.connection.execute(
        "select messages.customer_id, percent_off, valid_until - valid_from from lifecycle.messages "
        "inner join lifecycle.vouchers using (message_id) where send_state = 'accepted' order by messages.customer_id"
    ).fetchall()
    assert issued == [("leap", 35, timedelta(hours=24)), ("nameless", 35, timedelta(hours=24))]
    (message,) = sandbox.messages("leap@example.com")
    assert message["subject"] == "Happy birthday, Lea: 35% off today"
    (message,) = sandbox.messages("nameless@example.com")
    assert message["subject"] == "お客様、お誕生日おめでとうございます"
    assert "None" not in message["text"] + message["html"]
    assert sandbox.messages("refuser@example.com") == []
    assert sandbox.messages("corrected@example.com") == []


def test_a_childs_birthday_is_a_message_about_the_child_unless_it_is_the_parents_too(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    shop.customer("parent", email="parent@example.com")
    shop.dependant("parent", "Mia", date(2020, 2, 28))
    shop.dependant("parent", "Leo", date(2020, 2, 28))
    shop.customer("japanese", email="japanese@example.com", locale="ja")
    shop.dependant("japanese", "ハナ", date(2022, 2, 28))
    shop.customer("same_day", email="same@example.com", first_name="Sam", birthday=date(1990, 2, 28))
    shop.dependant("same_day", "Max", date(2021, 2, 28))
    runner.run_range(BIRTHDAY, BIRTHDAY + timedelta(days=1))
    assert [message["subject"] for message in sandbox.messages("parent@example.com")] == [
        "Happy birthday to Leo and Mia: 35% off today"
    ]
    assert [message["subject"] for message in sandbox.messages("japanese@example.com")] == [
        "ハナさんのお誕生日、おめでとうございます"
    ]
    assert [message["subject"] for message in sandbox.messages("same@example.com")] == [
        "Happy birthday, Sam: 35% off today"
    ]
