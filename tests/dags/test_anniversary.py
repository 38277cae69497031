"""The anniversary of the registration (J-16): one email a year, on the day, with the number of years in it."""

from __future__ import annotations

from datetime import date, datetime, timezone

from tests.journey_runner import JourneyRunner
from tests.sandbox_client import SandboxClient
from tests.shop import Shop


def test_every_full_year_brings_one_email_that_says_how_many(shop: Shop, sandbox: SandboxClient) -> None:
    registered = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
    shop.customer("leap", email="leap@example.com", first_name="Lea", signed_up_at=registered)
    shop.customer("nameless", email="nameless@example.com", locale="ja", signed_up_at=registered)
    shop.customer("silent", email="silent@example.com", email_consent=False, signed_up_at=registered)
    runner = JourneyRunner("anniversary", today=date(2026, 2, 28))
    runner.run_range(date(2026, 2, 27), date(2026, 3, 1))
    runner.run(date(2026, 2, 28))
    (message,) = sandbox.messages("leap@example.com")
    assert message["subject"] == "2 years together, Lea"
    assert "2 years ago today" in message["text"]
    (message,) = sandbox.messages("nameless@example.com")
    assert message["subject"] == "お客様、ご登録2周年ありがとうございます"
    assert "None" not in message["text"] + message["html"]
    assert sandbox.messages("silent@example.com") == []


def test_the_first_year_is_no_years(shop: Shop, sandbox: SandboxClient) -> None:
    shop.customer("new", email="new@example.com", signed_up_at=datetime(2025, 3, 31, 12, tzinfo=timezone.utc))
    JourneyRunner("anniversary", today=date(2026, 3, 31)).run(date(2026, 3, 31))
    (message,) = sandbox.messages("new@example.com")
    assert message["subject"] == "1 year together, friend"
    assert message["text"].startswith("Hi there,")
