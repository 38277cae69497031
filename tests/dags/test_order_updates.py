"""Order updates (J-01, J-02): every event of an order is told once by email and once by SMS, within six minutes of it."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lifecycle import database, journeys, referrals, runs, senders, stages
from lifecycle.errors import LifecycleError
from tests.conftest import PROJECT
from tests.dags.airflow_run import run_dag
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

SWITCHED_ON = datetime(2026, 3, 31, 9, 0, tzinfo=timezone.utc)
FIVE_MINUTES = timedelta(minutes=5)
PHONE = "+33639980001"


class Updates:
    """The journey, looked at whenever a test says so."""

    def __init__(self, shop: Shop, sandbox: SandboxClient) -> None:
        self.shop = shop
        self.sandbox = sandbox
        self.declared = journeys.load("order_updates")

    def look(self, instant: datetime) -> dict[str, dict[str, int]]:
        """What a run of the Dag does that is due at the instant."""
        zone = self.declared.zone
        context = runs.of_tick(self.declared.journey, instant, zone, now=instant)
        return stages.look(context, senders.sandbox_channel)

    def texts(self, address: str) -> list[str]:
        """What reached an address: subjects of emails, words of SMS."""
        return [message.get("subject") or message["text"] for message in self.sandbox.messages(address)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return list(self.shop.connection.execute(query.encode()).fetchall())


@pytest.fixture
def updates(shop: Shop, sandbox: SandboxClient) -> Updates:
    """A journey that was switched on at nine, and one customer who wants no marketing."""
    shop.customer("ana", phone=PHONE, email="ana@example.com", first_name="Ana", email_consent=False, sms_consent=False)
    updates = Updates(shop, sandbox)
    updates.look(SWITCHED_ON)
    return updates


def after(minutes: float) -> datetime:
    """So many minutes after the journey was switched on."""
    return SWITCHED_ON + timedelta(minutes=minutes)


def test_each_event_is_told_once_by_email_and_once_by_sms_without_consent_to_marketing(updates: Updates) -> None:
    shop = updates.shop
    order = shop.order("ana", after(1), order_id="1001", total_cents=4990, currency="EUR")
    for minutes, column in ((6, "shipped_at"), (11, "delivered_at"), (16, "cancelled_at")):
        updates.look(after(minutes - 1))
        shop.connection.execute(f"update imported.orders set {column} = %s".encode(), (after(minutes),))
    updates.look(after(20))
    shop.refund(order, "ana", after(21), 4990)
    updates.look(after(25))
    assert updates.texts("ana@example.com") == [
        "Your order 1001 is confirmed",
        "Your order 1001 is on its way",
        "Your order 1001 has arrived",
        "Your order 1001 is cancelled",
        "Your refund of 49.90 GBP",
    ]
    assert [text.split(" Questions? ")[0].split(": ")[1] for text in updates.texts(PHONE)] == [
        "Thank you! Order 1001 over 49.90 EUR is confirmed.",
        "Order 1001 is on its way to you.",
        "Order 1001 was delivered. We hope you like it!",
        "Order 1001 was cancelled and will not be sent.",
        "Your refund of 49.90 GBP for order 1001 is on its way.",
    ]
    for minutes in (5, 25, 25, 30):
        assert updates.look(after(minutes)) == {}
    assert len(updates.sandbox.messages()) == 10


def test_two_events_in_one_look_are_two_messages_and_two_orders_are_two(updates: Updates) -> None:
    updates.shop.order("ana", after(1), order_id="1001", shipped_at=after(3))
    updates.shop.order("ana", after(2), order_id="1002")
    assert updates.look(after(5)) == {
        "confirmed_email": {"accepted": 2},
        "confirmed_sms": {"accepted": 2},
        "shipped_email": {"accepted": 1},
        "shipped_sms": {"accepted": 1},
    }
    assert len(updates.texts(PHONE)) == 3


def test_an_order_right_after_a_look_is_told_at_the_next_one(updates: Updates) -> None:
    """The worst case of the schedule: five minutes until the next look, and one for it to be done (J-02)."""
    worst = SWITCHED_ON
    updates.shop.order("ana", worst)
    assert updates.look(worst + FIVE_MINUTES - timedelta(seconds=1)) == {}
    assert updates.look(worst + FIVE_MINUTES)["confirmed_sms"] == {"accepted": 1}
    assert updates.declared.journey.tick == FIVE_MINUTES


def test_switched_on_it_tells_nobody_what_happened_before(shop: Shop, sandbox: SandboxClient) -> None:
    shop.customer("ana", phone=PHONE, email="ana@example.com")
    shop.order("ana", after(-60), order_id="1001")
    updates = Updates(shop, sandbox)
    past = {"skipped: past_entry": 1}
    assert updates.look(SWITCHED_ON) == {"confirmed_email": past, "confirmed_sms": past}
    assert updates.look(SWITCHED_ON) == {}
    shop.connection.execute("update imported.orders set shipped_at = %s", (after(3),))
    assert updates.look(after(5)) == {"shipped_email": {"accepted": 1}, "shipped_sms": {"accepted": 1}}


def test_hours_without_a_look_need_no_repair_and_days_are_too_late(updates: Updates) -> None:
    updates.shop.order("ana", after(1), order_id="1001")
    late = SWITCHED_ON + timedelta(days=2)
    assert updates.look(late)["confirmed_sms"] == {"accepted": 1}
    updates.shop.order("ana", late + timedelta(minutes=1), order_id="1002")
    assert updates.look(late + timedelta(days=3, minutes=5)) == {}


def test_a_look_that_finds_nothing_leaves_the_time_of_it_and_nothing_else(updates: Updates) -> None:
    for minutes in range(5, 60, 5):
        assert updates.look(after(minutes)) == {}
    assert updates.rows("select count(*) from lifecycle.runs") == [(0,)]
    assert updates.rows("select count(*) from lifecycle.audiences") == [(0,)]
    assert updates.rows("select switched_on_at, looked_at from lifecycle.ticks") == [(SWITCHED_ON, after(55))]


def test_an_order_waits_for_its_customer_to_be_known(updates: Updates) -> None:
    updates.shop.order("ben", after(1))
    assert updates.look(after(5)) == {}
    updates.shop.customer("ben", signed_up_at=after(6))
    assert updates.look(after(10))["confirmed_email"] == {"accepted": 1}


def test_a_kill_between_decision_and_sending_loses_nobody(updates: Updates) -> None:
    updates.shop.order("ana", after(1))

    def killed(_: Any) -> Any:
        raise KeyboardInterrupt

    context = runs.of_tick(updates.declared.journey, after(5), updates.declared.zone, now=after(5))
    with pytest.raises(KeyboardInterrupt):
        stages.look(context, killed)
    assert updates.texts(PHONE) == []
    updates.look(after(10))
    assert (len(updates.texts(PHONE)), len(updates.texts("ana@example.com"))) == (1, 1)


def test_nobody_reads_none_or_an_empty_name_in_either_language(updates: Updates) -> None:
    shop = updates.shop
    shop.customer("nameless", phone="+819012345678", email="nameless@example.com", locale="ja")
    moments = {name: after(2) for name in ("shipped_at", "delivered_at", "cancelled_at")}
    shop.order("nameless", after(1), order_id="2001", total_cents=150000, currency="JPY", **moments)
    shop.refund(None, "nameless", after(2), 150000, currency="JPY")
    updates.look(after(5))
    emails = updates.sandbox.messages("nameless@example.com")
    assert {message["subject"] for message in emails} == {
        "ご注文2001を承りました",
        "ご注文2001を発送しました",
        "ご注文2001をお届けしました",
        "ご注文2001をキャンセルしました",
        "返金のお知らせ(1,500 JPY)",
    }
    for message in [*emails, *updates.sandbox.messages("+819012345678")]:
        words = message["text"] + (message.get("html") or "")
        assert "None" not in words
        # Whoever wonders can ask (W-01).
        assert "http://links.test/" in message["text"]
    assert all("お客様、" in message["text"] for message in emails)


def test_a_confirmation_names_what_was_ordered(updates: Updates) -> None:
    shop = updates.shop
    shop.product("tea", "Tea <green>")
    shop.product("cup", "Cup")
    order = shop.order("ana", after(1))
    shop.item(order, "tea", quantity=2)
    shop.item(order, "cup")
    updates.look(after(5))
    (message,) = updates.sandbox.messages("ana@example.com")
    assert "- 2 × Tea <green>\n- 1 × Cup\nTotal: 10 GBP" in message["text"]
    assert "<li>2 × Tea &lt;green&gt;</li><li>1 × Cup</li>" in message["html"]


def test_more_people_than_the_cap_wait_for_a_person(updates: Updates, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifecycle.approvals import AudienceHeldError

    monkeypatch.setenv("LIFECYCLE_AUDIENCE_CAP", "1")
    for _ in range(2):
        updates.shop.order("ana", after(1))
    with pytest.raises(AudienceHeldError, match="order_updates/confirmed_email has 2 people, above the cap of 1"):
        updates.look(after(5))
    assert updates.rows("select count(*) from lifecycle.messages") == [(0,)]
    context = runs.of_tick(updates.declared.journey, after(10), updates.declared.zone, now=after(10))
    done = stages.run_all(context, senders.sandbox_channel, {"confirmed_email": 2, "confirmed_sms": 2})
    assert done["steps"] == {"confirmed_email": {"accepted": 2}, "confirmed_sms": {"accepted": 2}}


def test_a_day_is_looked_back_upon_from_its_last_tick(updates: Updates) -> None:
    declared = updates.declared
    context = runs.for_day(declared.journey, date(2026, 3, 31), declared.zone)
    # London is an hour ahead of UTC by then.
    assert context.as_of == datetime(2026, 3, 31, 22, 55, tzinfo=timezone.utc)
    assert context.run_day == date(2026, 3, 31)


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: Updates) -> Path:
    """The same project as a copy that a test may spoil; returns its templates."""
    for part in ("dags", "include"):
        shutil.copytree(PROJECT / part, tmp_path / part)
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    templates = tmp_path / "include" / "templates" / "order_updates"
    updates.declared = journeys.load("order_updates")
    return templates


def test_the_link_for_friends_is_for_those_alone_who_want_marketing_on_the_channel(updates: Updates) -> None:
    """F-01, J-28, A-12, H-08: with every confirmation, to whoever wants offers and can refuse them with one click."""
    shop = updates.shop
    shop.customer("ben", email="ben@example.com", email_consent=True, sms_consent=False)
    shop.customer("cleo", email="cleo@example.com", email_consent=False, sms_consent=True)
    shop.customer("dora", email="dora@example.com")
    shop.connection.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source) "
        "values ('email', lifecycle.address_hash('dora@example.com'), 'sunset', 'test')"
    )
    for person in ("ana", "ben", "cleo", "dora"):
        shop.order(person, after(1))
    updates.look(after(5))
    offered = {}
    for person in ("ana", "ben", "cleo", "dora"):
        (message,) = updates.sandbox.messages(f"{person}@example.com")
        with database.transaction() as connection:
            link = referrals.link_of(connection, person)
        in_both = {link in message[part] for part in ("html", "text")}
        offered[person] = (in_both, "List-Unsubscribe" in message["headers"])
    none, all_of_it = ({False}, False), ({True}, True)
    assert offered == {"ana": none, "ben": all_of_it, "cleo": none, "dora": none}


def test_an_offer_that_nobody_can_refuse_is_refused_itself(updates: Updates, offering: Path) -> None:
    file = offering / "confirmed.email.txt.j2"
    file.write_text(file.read_text(encoding="utf-8").replace("{{ unsubscribe_url }}", "Bad luck"), encoding="utf-8")
    updates.shop.order("ana", after(1))
    with pytest.raises(LifecycleError, match="The message has no way out"):
        updates.look(after(5))


@pytest.mark.needs_processors
def test_a_real_airflow_does_all_of_a_look_in_one_task(
    shop: Shop, sandbox: SandboxClient, tmp_path: Path, empty_database: str
) -> None:
    yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
    shop.customer("ana", phone=PHONE, email="ana@example.com", sms_consent=False)

    def airflow(day: date) -> dict[str, Any]:
        done = run_dag(PROJECT, tmp_path, empty_database, "order_updates", day, as_if_today=False)
        assert {name: done[name] for name in done if name != "output"} == {"run": "success", "send_updates": "success"}
        return done

    airflow(yesterday - timedelta(days=1))
    # Noon of the day before, and the run of yesterday is at ten.
    shop.order("ana", yesterday - timedelta(days=1), order_id="1001")
    done = airflow(yesterday)
    assert updates_sent(sandbox) == {"ana@example.com": 1, PHONE: 1}
    assert "ana@example.com" not in done["output"]


def updates_sent(sandbox: SandboxClient) -> dict[str, int]:
    """How many messages reached each address."""
    return {to: len(sandbox.messages(to)) for to in ("ana@example.com", PHONE)}
