"""What follows a purchase (J-03, J-04, J-05, J-06): each story is one order, or two, played day by day."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.journey_runner import JourneyRunner, link_in, receiver
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

ORDERED = date(2026, 3, 1)
DELIVERED = date(2026, 3, 3)
SERUM = "https://shop.example/p/calm-serum"


def day(number: int) -> date:
    """The day so many days after the order."""
    return ORDERED + timedelta(days=number)


@pytest.fixture
def runner() -> JourneyRunner:
    return JourneyRunner("post_purchase", today=ORDERED)


def bought(
    shop: Shop, customer_id: str, ordered: date = ORDERED, delivered: date | None = DELIVERED, **columns: Any
) -> str:
    """An order of the calm cream, with what became of it."""
    delivered_at = (
        datetime(delivered.year, delivered.month, delivered.day, 15, tzinfo=timezone.utc) if delivered else None
    )
    order_id = shop.order(customer_id, ordered, delivered_at=delivered_at, **columns)
    shop.item(order_id, "calm-cream")
    return order_id


@pytest.fixture(autouse=True)
def catalogue(shop: Shop) -> None:
    shop.product("calm-cream", name="Calm Face Cream", category="Skin care", line="Calm")
    shop.product("calm-serum", name="Calm Serum", category="Skin care", line="Calm")
    shop.product("notebook", name="Ink Notebook", category="Stationery", line="Ink")


def led_to(text: str, name: str) -> str:
    """Where somebody comes who follows the address after a name."""
    return receiver().get(link_in(text.partition(name)[2])).headers["location"]


def sent(shop: Shop, customer_id: str) -> list[tuple[str, int]]:
    """The steps that reached a customer, each with the day after the order."""
    found = shop.connection.execute(
        "select step, run_day - %s from lifecycle.messages where customer_id = %s and send_state = 'accepted' "
        "order by run_day, step",
        (ORDERED, customer_id),
    )
    return found.fetchall()


def test_a_month_of_purchases_ends_for_each_person_as_their_order_did(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    """J-03, J-04 (a to d), J-05, J-06, A-1, A-2, W-01: whom each step reaches, and on which day after the order."""
    people = ["stayed", "bought", "returned", "nameless", "cancelled", "twice", "late", "lost", "writer", "critic"]
    for number, person in enumerate(people):
        shop.customer(person, phone=f"+3363998{number:04d}")
    bought(shop, "stayed")
    first = bought(shop, "bought")
    shop.order("bought", day(8))
    shop.refund(bought(shop, "returned"), "returned", day(5), amount_cents=400)
    bought(shop, "nameless")
    shop.refund(None, "nameless", day(5), amount_cents=1000)
    bought(shop, "cancelled", cancelled_at=datetime(2026, 3, 6, 12, tzinfo=timezone.utc))
    older = bought(shop, "twice")
    newer = bought(shop, "twice", ordered=day(4), delivered=day(6))
    bought(shop, "late", delivered=day(11))
    bought(shop, "lost", delivered=None)
    shop.item(shop.order("writer", ORDERED, delivered_at=datetime(2026, 3, 3, tzinfo=timezone.utc)), "notebook")
    shop.review(bought(shop, "critic"), "critic", day(10), 2)
    runner.run_range(day(0), day(26))
    runner.run(day(8))

    # Who never buys gets exactly two funnel mails, thanks and reviews, and each other step on a day of its own.
    after_thanks = [("thanks", 8), ("reviews", 11)]
    offers = [("offer_sms", 24), ("offer_email", 26)]
    assert sent(shop, "stayed") == [("education", 3), *after_thanks, ("review_request", 17), *offers]
    # A buyer on day 8 gets no second funnel mail: the purchase is the goal.
    assert sent(shop, "bought") == [("education", 3), ("thanks", 8)]
    # A refund on day 5 stops it, in part or without naming the order, and so does a cancellation.
    for person in ("returned", "nameless", "cancelled"):
        assert sent(shop, person) == [("education", 3)], person
    # Of two orders in a week the newest has the one running instance.
    assert sent(shop, "twice") == [
        ("education", 3), ("education", 7), ("thanks", 12), ("reviews", 15), ("review_request", 21)
    ]  # fmt: skip
    entered = shop.connection.execute(
        "select anchor, exit_reason from lifecycle.enrollments where customer_id in ('twice', 'bought') order by anchor"
    ).fetchall()
    assert entered == [(first, "converted"), (older, "superseded"), (newer, None)]
    # Nobody is thanked before delivery; what arrives as late as the thanks is taught on the day after them.
    assert sent(shop, "late")[:3] == [("thanks", 12), ("education", 13), ("reviews", 15)]
    assert sent(shop, "lost") == []
    # No material for a notebook: not an empty mail, and not silence in the records either.
    assert sent(shop, "writer") == [*after_thanks, ("review_request", 17), *offers]
    skipped = shop.connection.execute(
        "select customer_id, step, reason, variables from lifecycle.messages where send_state = 'skipped'"
    ).fetchall()
    assert skipped == [("writer", "education", "nothing_to_teach", {"guide": None, "product": None})]
    # Whoever has reviewed it is not asked to.
    assert sent(shop, "critic") == [("education", 3), *after_thanks, *offers]
    # Every message after a purchase offers a way to customer service.
    emails = sandbox.messages("stayed@example.com")
    assert len(emails) == 5
    assert all("Anything we can help with" in message["text"] for message in emails)
    assert [True for message in sandbox.messages("+33639980000") if "Questions: http" in message["text"]] == [True]


def test_thanks_recommend_the_same_line_and_reviews_quote_happy_customers(
    shop: Shop, sandbox: SandboxClient, runner: JourneyRunner
) -> None:
    """J-04, C-03, C-04: by email in the person's language, and nothing reads None."""
    for person, locale in (("aiko", "ja"), ("eva", "en"), ("fan", "en"), ("foe", "en")):
        shop.customer(person, locale=locale)
    for person in ("aiko", "eva"):
        bought(shop, person)
    for person, rating, words in (("fan", 5, "Soft as nothing else."), ("foe", 2, "Too thin.")):
        order_id = bought(shop, person, ordered=date(2026, 1, 5), delivered=date(2026, 1, 8))
        shop.item(order_id, "calm-serum")
        shop.item(order_id, "notebook")
        shop.review(order_id, person, date(2026, 1, 20), rating, body=words)
    runner.run(day(8))
    runner.run(day(11))
    texts = {message["subject"]: message["text"] for message in sandbox.messages("eva@example.com")}
    thanks, reviews = texts["Enjoying Calm Face Cream?"], texts["What others say about Calm Face Cream"]
    assert led_to(thanks, "Calm Serum: ") == SERUM
    assert "Ink Notebook" not in thanks
    assert "***** Soft as nothing else. (Calm Face Cream)" in reviews
    assert "Too thin." not in reviews
    for message in [*sandbox.messages("aiko@example.com"), *sandbox.messages("eva@example.com")]:
        assert "None" not in message["text"] + message["html"]
    (japanese,) = [one for one in sandbox.messages("aiko@example.com") if "お客様の声" in one["subject"]]
    assert "Soft as nothing else." in japanese["html"]
    assert led_to(japanese["text"], "Calm Serum: ") == SERUM
    # Both have clicked, and on what.
    clicks = shop.connection.execute("select customer_id, properties from lifecycle.engagements where kind = 'click'")
    assert clicks.fetchall() == [("eva", {"link": SERUM}), ("aiko", {"link": SERUM})]
