"""The reward of the N-th purchase (J-18): one code by email on the day after it, whatever is run again."""

from __future__ import annotations

from datetime import date

from tests.journey_runner import JourneyRunner
from tests.sandbox_client import SandboxClient
from tests.shop import Shop


def test_the_third_purchase_brings_one_code_on_the_day_after(shop: Shop, sandbox: SandboxClient) -> None:
    for person, locale in (("third", "en"), ("nameless", "ja"), ("returner", "en")):
        shop.customer(person, email=f"{person}@example.com", locale=locale)
        orders = [shop.order(person, day) for day in (date(2026, 1, 5), date(2026, 2, 5), date(2026, 3, 5))]
        if person == "returner":
            shop.refund(orders[0], person, date(2026, 1, 9), amount_cents=1000)
    runner = JourneyRunner("nth_purchase", today=date(2026, 3, 6))
    runner.run_range(date(2026, 3, 5), date(2026, 3, 7))
    runner.run(date(2026, 3, 6))
    decided = shop.connection.execute(
        "select messages.customer_id, run_day, anchor, send_state, percent_off, "
        "(valid_until at time zone 'Europe/London')::date from lifecycle.messages inner join lifecycle.vouchers "
        "using (message_id) order by messages.customer_id"
    ).fetchall()
    sixth, fifth_of_april = date(2026, 3, 6), date(2026, 4, 5)
    assert decided == [
        ("nameless", sixth, "order-0006", "accepted", 20, fifth_of_april),
        ("third", sixth, "order-0003", "accepted", 20, fifth_of_april),
    ]
    (message,) = sandbox.messages("third@example.com")
    assert message["subject"] == "Your thank-you for purchase number 3"
    assert message["text"].startswith("Hi there,")
    assert "20% off your next order" in message["text"]
    (message,) = sandbox.messages("nameless@example.com")
    assert "お客様、" in message["text"]
    assert "None" not in message["text"] + message["html"]
    assert sandbox.messages("returner@example.com") == []
