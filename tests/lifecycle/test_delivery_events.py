"""Delivery events: kept once, folded in any order to the same state, and acted on where an address is to blame."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.conftest import plain
from tests.lifecycle.sent_messages import SentMessages

from lifecycle import delivery_events
from lifecycle.delivery_events import from_sendgrid, from_twilio

TIME = 1_760_000_000


@pytest.fixture
def sent(empty_database: str) -> Iterator[SentMessages]:
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        yield SentMessages(connection)


def sendgrid(event: str, message_id: str | None, number: int = 1, **fields: Any) -> dict[str, Any]:
    """An event as SendGrid posts it."""
    return {
        "email": "1@example.com",
        "timestamp": TIME + number,
        "event": event,
        "sg_event_id": f"{event}-{message_id}-{number}",
        "sg_message_id": f"request{message_id}.filter0001.16648.5515E0B88.0",
        **({delivery_events.MESSAGE_ID_FIELD: message_id} if message_id else {}),
        **fields,
    }


def receive(*items: dict[str, Any]) -> delivery_events.Received:
    events = [event for event in map(from_sendgrid, items) if event]
    with delivery_events.transaction() as connection:
        return delivery_events.receive(connection, "sendgrid", events)


def call_back(
    message_id: str, status: str, code: str = "", sid: str = "SM1", **fields: str
) -> delivery_events.Received:
    event = from_twilio({"MessageSid": sid, "MessageStatus": status, "ErrorCode": code, **fields}, message_id)
    assert event
    with delivery_events.transaction() as connection:
        return delivery_events.receive(connection, "twilio", [event])


# --- the state of a delivery --------------------------------------------------------------------------------------------

RISES = [
    (["processed"], "queued"),
    (["processed", "deferred"], "deferred"),
    (["deferred", "delivered"], "delivered"),
    # Delivered first, then what came before it (94).
    (["delivered", "processed", "deferred"], "delivered"),
    # A late bounce beats a delivery.
    (["delivered", "bounce"], "bounced"),
    (["bounce", "delivered"], "bounced"),
    # Two different ends: the same one wins whichever comes first (94).
    (["dropped", "bounce"], "bounced"),
    (["bounce", "dropped"], "bounced"),
    # Reactions do not move it.
    (["open", "click"], "none"),
    # An event nobody knows (92).
    (["levitated"], "none"),
]


@pytest.mark.parametrize(("names", "state"), RISES)
def test_a_delivery_only_rises(sent: SentMessages, names: list[str], state: str) -> None:
    (message_id,) = sent.add()
    for number, name in enumerate(names):
        receive(sendgrid(name, message_id, number))
    assert sent.state(message_id, "delivery_state") == (state,)


TWILIO_RISES = [
    (["accepted", "queued", "sending"], "queued"),
    (["sent"], "sent"),
    (["delivered", "sent", "queued"], "delivered"),
    (["delivered", "read"], "delivered"),
    (["partially_delivered"], "delivered"),
    (["undelivered", "delivered"], "undelivered"),
    (["failed", "sent"], "failed"),
    (["levitating"], "none"),
]


@pytest.mark.parametrize(("statuses", "state"), TWILIO_RISES)
def test_a_text_message_only_rises(sent: SentMessages, statuses: list[str], state: str) -> None:
    (message_id,) = sent.add(channel="sms")
    for status in statuses:
        call_back(message_id, status)
    assert sent.state(message_id, "delivery_state") == (state,)


@pytest.mark.parametrize("send_state", ["sending", "uncertain", "unconfirmed"])
def test_evidence_settles_what_nobody_knew(sent: SentMessages, send_state: str) -> None:
    (message_id,) = sent.add(send_state=send_state)
    assert receive(sendgrid("processed", message_id)).settled == 1
    assert sent.state(message_id, "send_state", "provider", "lease_until") == ("accepted", "sendgrid", None)
    assert sent.state(message_id, "provider_id") == (f"request{message_id}",)
    assert sent.connection.execute("select outcome from lifecycle.attempts").fetchall() == [("accepted",)]


@pytest.mark.parametrize("send_state", ["rejected", "cancelled", "queued"])
def test_evidence_changes_no_decision_that_was_made(sent: SentMessages, send_state: str) -> None:
    (message_id,) = sent.add(send_state=send_state)
    assert receive(sendgrid("processed", message_id)).settled == 0
    assert sent.state(message_id, "send_state") == (send_state,)


def test_a_callback_settles_a_text_message_by_the_id_in_its_address(sent: SentMessages) -> None:
    (message_id,) = sent.add(channel="sms", send_state="uncertain")
    assert call_back(message_id, "sent").settled == 1
    assert sent.state(message_id, "send_state", "provider_id") == ("accepted", "SM1")


def test_an_event_of_the_other_provider_is_about_no_message(sent: SentMessages) -> None:
    (message_id,) = sent.add(channel="sms", send_state="uncertain")
    assert receive(sendgrid("delivered", message_id)).unknown == 1
    assert sent.state(message_id, "send_state", "delivery_state") == ("uncertain", "none")


# --- reactions ----------------------------------------------------------------------------------------------------------


def test_reactions_are_dated_by_the_first_and_machines_told_apart(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    receive(sendgrid("open", message_id, 9), sendgrid("open", message_id, 5))
    receive(sendgrid("open", message_id, 1, sg_machine_open=True))
    receive(sendgrid("click", message_id, 7, url="https://a.example"), sendgrid("open", message_id, 3))
    human, machine, clicked = sent.state(message_id, "opened_human_at", "opened_machine_at", "clicked_at")
    assert [moment.timestamp() - TIME for moment in (human, machine, clicked)] == [3, 1, 7]


def test_only_true_is_a_machine() -> None:
    for value in ("true", 1, None, [], False):
        event = from_sendgrid({"event": "open", "sg_machine_open": value})
        assert event
        assert not event.is_machine


# --- once ---------------------------------------------------------------------------------------------------------------


def test_an_event_is_kept_once(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    events = [sendgrid("delivered", message_id), sendgrid("delivered", message_id), sendgrid("open", message_id)]
    assert receive(*events).new == 2
    assert receive(*events).new == 0


def test_a_retry_under_another_id_is_the_same_fact(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    assert receive(sendgrid("delivered", message_id)).new == 1
    assert receive(sendgrid("delivered", message_id, sg_event_id="another")).new == 0
    assert receive(sendgrid("click", message_id, url="https://a.example", sg_event_id="a")).new == 1
    assert receive(sendgrid("click", message_id, url="https://b.example", sg_event_id="b")).new == 1


def test_people_of_one_request_are_not_one_fact(sent: SentMessages) -> None:
    one = sendgrid("delivered", None, sg_message_id="shared.1", sg_event_id="a", email="a@example.com")
    assert receive(one, {**one, "sg_event_id": "b", "email": "b@example.com"}).new == 2


def test_a_callback_is_kept_once_per_status_and_error(sent: SentMessages) -> None:
    (message_id,) = sent.add(channel="sms")
    assert call_back(message_id, "undelivered", "30003").new == 1
    assert call_back(message_id, "undelivered", "30003", RawDlrDoneDate="2611210900").new == 0
    assert call_back(message_id, "undelivered", "30007").new == 1
    assert call_back(message_id, "undelivered", "30003", sid="SM2").new == 1


# --- events without our id ------------------------------------------------------------------------------------------------


def requested(sent: SentMessages, provider_id: str, *message_ids: str) -> None:
    """These messages left in one request, whose id the provider gave."""
    for message_id in message_ids:
        sent.connection.execute(
            "insert into lifecycle.attempts (attempt_id, message_id, started_at, outcome, provider_id) "
            "values (gen_random_uuid(), %s, now(), 'accepted', %s)",
            (message_id, provider_id),
        )


def without_our_id(event: str, address: str, sg_message_id: str = "req-1.filter7.1.5515E0B88.0") -> dict[str, Any]:
    return sendgrid(
        event, None, email=address, sg_message_id=sg_message_id, sg_event_id=f"{event} {len(address)} {address[:1]}"
    )


def test_an_event_without_our_id_finds_its_message_by_request_and_address(sent: SentMessages) -> None:
    first, second, later = sent.add(3)
    requested(sent, "req-1", first, second)
    requested(sent, "req-2", later)
    received = receive(without_our_id("delivered", "2@Example.com"), without_our_id("bounce", "1@example.com"))
    assert (received.new, received.unknown) == (2, 0)
    states = [sent.state(message_id, "delivery_state")[0] for message_id in (first, second, later)]
    assert states == ["bounced", "delivered", "none"]
    # The same fact again, now with our id, moves nothing.
    receive(sendgrid("delivered", second))
    assert sent.state(second, "delivery_state") == ("delivered",)


@pytest.mark.parametrize(
    ("address", "sg_message_id"),
    [("3@example.com", "req-1.x"), ("1@example.com", "req-2.x"), ("1@example.com", ""), ("", "req-1.x"),
     ("1@example.com", f"SM{'0' * 32}.x"), ("1@example.com", "filter0093p1las1.9128.0")],
)  # fmt: skip
def test_an_event_without_our_id_is_never_guessed(sent: SentMessages, address: str, sg_message_id: str) -> None:
    first, second = sent.add(2)
    requested(sent, "req-1", first, second)
    requested(sent, "SM" + "0" * 32, first)
    assert receive(without_our_id("delivered", address, sg_message_id)).unknown == 1
    assert [sent.state(one, "delivery_state") for one in (first, second)] == [("none",)] * 2


def test_an_event_without_our_id_settles_what_nobody_knew_and_keeps_no_address(sent: SentMessages) -> None:
    (message_id,) = sent.add(send_state="uncertain")
    requested(sent, "req-1", message_id)
    assert receive(without_our_id("processed", "1@example.com")).settled == 1
    assert sent.state(message_id, "send_state") == ("accepted",)
    stored = sent.connection.execute("select row_to_json(e)::text from lifecycle.message_events as e").fetchall()
    assert "example" not in str(stored)


# --- addresses that get nothing more ------------------------------------------------------------------------------------

SUPPRESSING: list[tuple[dict[str, Any], str | None]] = [
    ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "bounced"),
    ({"event": "bounce", "type": "bounce"}, "bounced"),
    ({"event": "bounce", "type": "blocked", "status": "5.7.1"}, None),
    ({"event": "bounce", "type": "bounce", "status": "4.2.2"}, None),
    ({"event": "bounce", "status": "5.0.0", "bounce_classification": "Invalid Address"}, "bounced"),
    ({"event": "bounce", "status": "5.0.0", "bounce_classification": "Reputation"}, None),
    ({"event": "dropped", "reason": "Bounced Address"}, "bounced"),
    ({"event": "dropped", "reason": "Unsubscribed Address"}, "unsubscribed"),
    ({"event": "dropped", "reason": "Spam Reporting Address"}, "complained"),
    ({"event": "dropped", "reason": "Invalid"}, "invalid_address"),
    ({"event": "dropped", "reason": "Spam Content (if spam checker app enabled)"}, None),
    ({"event": "spamreport"}, "complained"),
    ({"event": "unsubscribe"}, "unsubscribed"),
    ({"event": "group_unsubscribe", "asm_group_id": 10}, "unsubscribed"),
    ({"event": "group_resubscribe", "asm_group_id": 10}, None),
    ({"event": "deferred"}, None),
    ({"event": "delivered"}, None),
]


@pytest.mark.parametrize(("fields", "reason"), SUPPRESSING)
def test_an_address_that_is_to_blame_gets_nothing_more(
    sent: SentMessages, fields: dict[str, Any], reason: str | None
) -> None:
    (message_id,) = sent.add()
    receive(sendgrid(**{"message_id": message_id, **fields}))
    assert sent.suppressions() == ([("email", reason, "sendgrid", True)] if reason else [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [("21610", "stop"), ("30005", "invalid_address"), ("30006", "invalid_address"), ("30640", "complained")]
    + [(code, None) for code in ("", "30003", "30007", "30008", "30036", "evil' --")],
)
def test_a_number_that_is_to_blame_gets_nothing_more(sent: SentMessages, code: str, reason: str | None) -> None:
    (message_id,) = sent.add(channel="sms")
    call_back(message_id, "undelivered", code)
    assert sent.suppressions() == ([("sms", reason, "twilio", True)] if reason else [])


def test_a_refusal_to_a_provider_is_kept_as_consent(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    for _ in range(2):
        receive(sendgrid("spamreport", message_id), sendgrid("unsubscribe", message_id, 2))
    found = sent.connection.execute("select channel, is_granted, source, proof ->> 'kind' from lifecycle.consents")
    assert found.fetchall() == [
        ("email", False, "sendgrid", "complained"),
        ("email", False, "sendgrid", "unsubscribed"),
    ]
    complained, unsubscribed = sent.state(message_id, "complained_at", "unsubscribed_at")
    assert (complained.timestamp(), unsubscribed.timestamp()) == (TIME + 1, TIME + 2)


def test_a_message_nobody_knows_is_counted_and_its_address_still_spared(sent: SentMessages) -> None:
    received = receive(
        sendgrid("bounce", "00000000-0000-0000-0000-000000000001", email="Gone@Example.com "),
        sendgrid("delivered", None),
        sendgrid("open", "not an id"),
    )
    assert (received.new, received.unknown, received.suppressed) == (3, 3, 1)
    found = sent.connection.execute(
        "select reason from lifecycle.suppressions where address_hash = lifecycle.address_hash('gone@example.com')"
    )
    assert found.fetchall() == [("bounced",)]


def test_what_happened_before_a_person_came_back_does_not_turn_them_away(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    receive(sendgrid("unsubscribe", message_id, 1))
    sent.connection.execute("update lifecycle.suppressions set lifted_at = to_timestamp(%s)", (TIME + 100,))
    receive(sendgrid("unsubscribe", message_id, 50))
    assert sent.suppressions() == [("email", "unsubscribed", "sendgrid", False)]
    receive(sendgrid("unsubscribe", message_id, 150))
    assert sent.suppressions() == [("email", "unsubscribed", "sendgrid", True)]


@pytest.mark.parametrize("source", ["one_click", "preference_page"])
def test_whoever_told_of_it_first_what_a_person_took_back_stays_taken_back(sent: SentMessages, source: str) -> None:
    (message_id,) = sent.add()
    sent.connection.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source, suppressed_at, lifted_at) "
        "values ('email', lifecycle.address_hash('1@example.com'), 'unsubscribed', %s, to_timestamp(%s), to_timestamp(%s))",
        (source, TIME, TIME + 100),
    )
    receive(sendgrid("unsubscribe", message_id, 50))
    assert [holds for *_, holds in sent.suppressions()] == [False, False]
    receive(sendgrid("unsubscribe", message_id, 150))
    assert ("email", "unsubscribed", "sendgrid", True) in sent.suppressions()


# --- G15 ----------------------------------------------------------------------------------------------------------------

LIVES = [
    ["processed", "delivered", "open", "click"],
    ["processed", "deferred", "delivered", "open"],
    ["processed", "deferred", "bounce"],
    ["dropped"],
    ["processed", "delivered", "open", "spamreport"],
    ["processed", "delivered", "unsubscribe"],
]
_TABLES = (
    "select message_id, send_state, delivery_state, provider_id, delivered_at, opened_human_at, opened_machine_at, "
    "clicked_at, complained_at, unsubscribed_at from lifecycle.messages order by 1",
    "select event_id, message_id, kind, occurred_at, raw_sha256 from lifecycle.message_events order by 1",
    "select channel, address_hash, reason, source, suppressed_at, lifted_at from lifecycle.suppressions order by 1, 2, 3",
    "select customer_id, channel, is_granted, source, proof, occurred_at from lifecycle.consents order by 1, 2, 5",
)


def lives(ids: list[str]) -> list[dict[str, Any]]:
    """The events of every message, in the order they happened."""
    return [
        sendgrid(name, message_id, place * 60, email=f"{number}@example.com", sg_machine_open=number % 3 == 0)
        for number, message_id in enumerate(ids, 1)
        for place, name in enumerate(LIVES[number % len(LIVES)], 1)
    ]


def _tables(sent: SentMessages) -> list[list[tuple[Any, ...]]]:
    return [sent.connection.execute(query.encode()).fetchall() for query in _TABLES]


def _forget(sent: SentMessages) -> None:
    sent.connection.execute("truncate lifecycle.message_events, lifecycle.suppressions, lifecycle.consents")
    sent.connection.execute(
        "update lifecycle.messages set delivery_state = 'none', provider_id = null, delivered_at = null, "
        "opened_human_at = null, opened_machine_at = null, clicked_at = null, complained_at = null, "
        "unsubscribed_at = null"
    )


def test_any_order_and_any_repetition_end_in_the_same_tables(sent: SentMessages) -> None:
    story = lives(sent.add(300))
    for item in story:
        receive(item)
    truth = _tables(sent)
    for seed in range(10):
        _forget(sent)
        shuffled = [*story, *random.Random(seed).choices(story, k=len(story) // 4)]
        random.Random(seed).shuffle(shuffled)
        for first in range(0, len(shuffled), 97):
            receive(*shuffled[first : first + 97])
        assert _tables(sent) == truth


def test_fifteen_thousand_events_take_seconds_and_not_minutes(sent: SentMessages) -> None:
    story = lives(sent.add(5_000))
    random.Random(1).shuffle(story)
    bodies = [json.dumps(story[first : first + 1000]) for first in range(0, len(story), 1000)]
    started = time.perf_counter()
    for body in bodies:
        receive(*json.loads(body))
    seconds = time.perf_counter() - started
    sys.stdout.write(f"\nwebhooks: {len(story)} events in {seconds:.2f} s = {len(story) / seconds:,.0f}/s\n")
    # How fast it is says `python -m bench.webhooks`. So slow, on any machine, is a statement whose plan went wrong.
    assert len(story) / seconds > 300


def test_an_unstorable_event_is_left_out_and_the_rest_stored(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    strange: list[Any] = [
        None, 1, "x", [], [[]], {}, {"event": None}, {"event": 7}, {"event": ["open"]},
        {"event": "open", "timestamp": -1, "sg_event_id": "\x00"},
        {"event": "open", "timestamp": 1e400, "sg_event_id": "\ud800", "email": "\x00"},
        {"event": "bounce", "timestamp": float("nan"), "email": "\ud83d", "status": {"a": 1}},
        {"event": "delivered", "timestamp": "1760000000", delivery_events.MESSAGE_ID_FIELD: message_id},
        {"event": "click", "timestamp": 9_999_999_999_999, "url": "x" * 100_000, "sg_event_id": "i" * 5000},
        {"event": "unsubscribe", "timestamp": True, "email": "=cmd|' /C calc'!A0", "sg_event_id": 5},
    ]  # fmt: skip
    events = [event for event in map(from_sendgrid, strange) if event]
    assert len(events) == 6
    with delivery_events.transaction() as connection:
        assert delivery_events.receive(connection, "sendgrid", events).new == 6
    assert sent.state(message_id, "delivery_state") == ("delivered",)
    late = sent.connection.execute("select count(*) from lifecycle.message_events where occurred_at > now()")
    assert late.fetchall() == [(0,)]


def test_t13_nothing_of_a_person_is_stored(sent: SentMessages) -> None:
    (message_id,) = sent.add()
    sent.connection.execute("update lifecycle.messages set address_hash = null, customer_id = ''")
    receive(
        *(
            sendgrid(name, message_id, number, email="aiko@example.com", reason="550 aiko@example.com unknown",
                     url="https://shop.example/?email=aiko@example.com", ip="10.1.2.3", useragent="Aiko's phone")
            for number in range(20)
            for name in ("processed", "deferred", "delivered", "open", "click", "bounce", "dropped", "spamreport",
                         "unsubscribe", "group_resubscribe")
        )
    )  # fmt: skip
    for table in ("message_events", "messages", "suppressions", "consents", "attempts"):
        rows = sent.connection.execute(f"select row_to_json(t)::text from lifecycle.{table} as t".encode()).fetchall()
        assert not any("aiko" in text.lower() or "10.1.2.3" in text for (text,) in rows)
    assert sent.connection.execute("select count(*) from lifecycle.message_events").fetchall() == [(200,)]
