"""Webhooks: only what a provider signed counts, once, whatever order, proxy or key it comes with (threats T1, T2, T8-T12)."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.conftest import PROJECT
from tests.lifecycle.receiver.providers import FORM, PUBLIC_URL, SendGrid, Twilio
from tests.lifecycle.sent_messages import SentMessages
from tests.lifecycle.test_delivery_events import lives
from tests.lifecycle.test_delivery_events import sendgrid as event_of

from lifecycle import database, journeys, outbox, runs
from lifecycle.receiver.app import create_app
from lifecycle.receiver.keys import WebhookKeys
from lifecycle.receiver.limits import MAX_WEBHOOK_BYTES
from lifecycle.webhook_signatures import (
    SENDGRID_SIGNATURE,
    SENDGRID_TIMESTAMP,
    TWILIO_SETTINGS,
    TWILIO_SIGNATURE,
    FormFields,
    is_from_sendgrid,
    is_from_twilio,
)

FIXTURES = PROJECT.parent / "shared" / "specs" / "fixtures"
# The signed examples that the SDKs are tested with (MIT, sendgrid-python and twilio-python).
KNOWN_SENDGRID = {
    "key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8"
    "eNEc6wEA3F+g==",
    "signature": "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
    "timestamp": "1600112502",
    "payload": '[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1'
    'MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5F'
    'C76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n',
}
KNOWN_TWILIO = {
    "url": "https://mycompany.com/myapp.php?foo=1&bar=2",
    "fields": {
        "CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212",
        "Caller": "+14158675309",
    },
    "signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
}  # fmt: skip


# --- known answers ------------------------------------------------------------------------------------------------------


def test_the_known_answer_of_sendgrid_verifies_in_its_time_only() -> None:
    known = KNOWN_SENDGRID
    headers = {SENDGRID_SIGNATURE: known["signature"], SENDGRID_TIMESTAMP: known["timestamp"]}
    body, then = known["payload"].encode(), int(known["timestamp"])
    assert is_from_sendgrid([known["key"]], body, headers, then + 86_000)
    assert not is_from_sendgrid([known["key"]], body, headers, then + 86_401)
    assert not is_from_sendgrid([known["key"]], body, headers, then - 301)
    assert not is_from_sendgrid([known["key"]], body.strip(), headers, then)
    assert not is_from_sendgrid([], body, headers, then)


def test_the_known_answer_of_twilio_verifies() -> None:
    pairs = list(KNOWN_TWILIO["fields"].items())
    headers = {TWILIO_SIGNATURE: KNOWN_TWILIO["signature"]}
    assert is_from_twilio(["new", "12345"], KNOWN_TWILIO["url"], pairs, headers)
    assert not is_from_twilio(["12345"], KNOWN_TWILIO["url"].replace("https", "http"), pairs, headers)
    assert not is_from_twilio(["new"], KNOWN_TWILIO["url"], pairs, headers)


def test_the_recorded_answers_are_the_published_ones() -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the published answers are not on this machine")
    found = json.loads((FIXTURES / "signature_known_answers.json").read_text())
    assert found["sendgrid"] == {
        "public_key": KNOWN_SENDGRID["key"], **{name: value for name, value in KNOWN_SENDGRID.items() if name != "key"}
    }  # fmt: skip
    assert (found["twilio"]["url"], found["twilio"]["params"], found["twilio"]["signature"]) == (
        KNOWN_TWILIO["url"], KNOWN_TWILIO["fields"], KNOWN_TWILIO["signature"]
    )  # fmt: skip


def test_recorded_events_are_taken(client: TestClient, sendgrid: SendGrid, sent: SentMessages) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the published events are not on this machine")
    recorded = json.loads((FIXTURES / "anymail_sendgrid_events.json").read_text())["events"]
    batch = [item for items in recorded.values() for item in items]
    assert sendgrid.post(client, batch).status_code == 200
    kinds = sent.connection.execute(
        "select kind, count(*) from lifecycle.message_events group by 1 order by 1"
    ).fetchall()
    assert dict(kinds) == {
        "bounced": 1, "clicked": 1, "deferred": 1, "delivered": 1, "dropped": 3, "opened": 1, "queued": 1
    }  # fmt: skip
    assert sent.suppressions() == [
        ("email", reason, "sendgrid", True) for reason in ("bounced", "bounced", "invalid_address", "unsubscribed")
    ]


# --- T1 and T2 ----------------------------------------------------------------------------------------------------------


def forgeries(sendgrid: SendGrid, body: bytes, number: int) -> tuple[bytes, dict[str, Any]]:
    """A request that SendGrid did not make, in one of twelve ways."""
    good = sendgrid.headers(body)
    signature, timestamp = good[SENDGRID_SIGNATURE], good[SENDGRID_TIMESTAMP]
    place = number % len(body)
    ways: list[tuple[bytes, dict[str, Any]]] = [
        (body, SendGrid().headers(body)),
        (body, {}),
        (body, {**good, SENDGRID_SIGNATURE: ""}),
        (body, {**good, SENDGRID_SIGNATURE: signature[: number % 90]}),
        (body, {**good, SENDGRID_SIGNATURE: "garbage €".encode()}),
        (body, {SENDGRID_SIGNATURE: signature}),
        (body, {**good, SENDGRID_TIMESTAMP: str(int(timestamp) - 1)}),
        (body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :], good),
        (timestamp[-1:].encode() + body, {**good, SENDGRID_TIMESTAMP: timestamp[:-1]}),
        (body, sendgrid.headers(body + b" ")),
        (body, sendgrid.headers(body, str(int(time.time()) - 86_500))),
        (body, sendgrid.headers(body, str(int(time.time()) + 4_000))),
    ]
    return ways[number % len(ways)]


def test_t1_nothing_forged_is_accepted(client: TestClient, sendgrid: SendGrid, sent: SentMessages) -> None:
    (message_id,) = sent.add(send_state="uncertain")
    body = json.dumps([event_of("unsubscribe", message_id)]).encode()
    for number in range(1_000):
        forged, headers = forgeries(sendgrid, body, number)
        assert client.post("/sendgrid/events", content=forged, headers=headers).status_code == 403
    assert client.app.state.counts["forged"] == 1_000  # type: ignore[union-attr]
    assert sent.state(message_id, "send_state", "unsubscribed_at") == ("uncertain", None)
    assert sent.suppressions() == []
    assert sent.connection.execute("select * from lifecycle.message_events").fetchall() == []


def test_t1_nothing_forged_in_the_name_of_twilio_is_accepted(client: TestClient, sent: SentMessages) -> None:
    (message_id,) = sent.add(channel="sms", send_state="uncertain")
    twilio, other = Twilio(), Twilio("another token")
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "From": "+33639980001", "Body": "STOP"}
    for path in (f"/twilio/status?message_id={message_id}", "/twilio/inbound"):
        good = twilio.signature(f"{PUBLIC_URL}{path}", fields)
        forged: list[dict[str, Any]] = [
            {},
            {TWILIO_SIGNATURE: ""},
            {TWILIO_SIGNATURE: "garbage"},
            {TWILIO_SIGNATURE: b"\xff"},
            other.signature(f"{PUBLIC_URL}{path}", fields),
            twilio.signature(PUBLIC_URL, fields),
            {**good, TWILIO_SETTINGS: "algorithm=HMAC_MD5"},
        ]
        for headers in forged:
            answer = client.post(path, data=fields, headers=headers)
            assert answer.status_code == 403
        assert client.post(path, data={**fields, "More": ""}, headers=good).status_code == 403
        assert client.post(f"{path}{'&' if '?' in path else '?'}x=1", data=fields, headers=good).status_code == 403
        assert client.post(path, json=fields, headers=good).status_code == 403
    assert sent.suppressions() == []
    assert sent.connection.execute("select * from lifecycle.message_events").fetchall() == []


def test_t2_a_replay_changes_no_row(client: TestClient, sendgrid: SendGrid, twilio: Twilio, sent: SentMessages) -> None:
    ids = sent.add(50)
    (text_id,) = sent.add(channel="sms")
    body = json.dumps(lives(ids)).encode()
    headers = sendgrid.headers(body)
    status = {"MessageSid": "SM1", "MessageStatus": "sent"}

    def replay() -> list[tuple[Any, ...]]:
        assert client.post("/sendgrid/events", content=body, headers=headers).status_code == 200
        assert twilio.post(client, f"/twilio/status?message_id={text_id}", status).status_code == 200
        twilio.text(client, "START", "+33639980051", "IN1")
        return sent.connection.execute(
            "select message_id, delivery_state, clicked_at, unsubscribed_at, null from lifecycle.messages union all "
            "select message_id, event_id, occurred_at, received_at, kind from lifecycle.message_events order by 1, 2"
        ).fetchall()

    first = replay()
    assert all(replay() == first for _ in range(100))


# --- G15 ----------------------------------------------------------------------------------------------------------------


def test_g15_shuffled_doubled_and_forged_equals_the_truth(
    client: TestClient, sendgrid: SendGrid, sent: SentMessages
) -> None:
    story = lives(sent.add(600))
    query = b"select message_id, delivery_state, delivered_at, opened_human_at, opened_machine_at, clicked_at, "
    query += b"complained_at, unsubscribed_at from lifecycle.messages order by 1"
    for item in range(0, len(story), 50):
        sendgrid.post(client, story[item : item + 50])
    truth = sent.connection.execute(query).fetchall()
    sent.connection.execute("truncate lifecycle.message_events, lifecycle.suppressions, lifecycle.consents")
    sent.connection.execute(
        "update lifecycle.messages set delivery_state = 'none', delivered_at = null, opened_human_at = null, "
        "opened_machine_at = null, clicked_at = null, complained_at = null, unsubscribed_at = null"
    )
    chance = random.Random(15)
    doubled = [*story, *chance.choices(story, k=len(story) // 5)]
    chance.shuffle(doubled)
    forged = 0
    for first in range(0, len(doubled), 40):
        if first % 800 == 0:
            lie = json.dumps([event_of("bounce", doubled[first]["lifecycle_message_id"], 10_000)]).encode()
            assert client.post("/sendgrid/events", content=lie, headers=SendGrid().headers(lie)).status_code == 403
            forged += 1
        assert sendgrid.post(client, doubled[first : first + 40]).status_code == 200
    assert forged
    assert sent.connection.execute(query).fetchall() == truth
    assert sent.connection.execute("select count(*) from lifecycle.message_events").fetchall() == [(len(story),)]


# --- G17 ----------------------------------------------------------------------------------------------------------------

SHAPES: list[tuple[bytes, int]] = [
    (b"[]", 200), (b"", 400), (b"{}", 400), (b"null", 400), (b'"x"', 400), (b"[[[]]]", 200), (b"[1,null]", 200),
    (b"[" * 30 + b"]" * 30, 200), (b"[" * 40 + b"]" * 40, 400), (b"[" * 10_000, 400),
    (b"[" * 10_000 + b"]" * 10_000, 400), (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, 400),
    (b'[{"event":"open","timestamp":NaN},{"event":"open","timestamp":-Infinity}]', 200),
    (b'[{"event":"open","timestamp":1e400}]', 200), (b'[{"event":"open","event":"open","sg_event_id":"1"}]', 200),
    (b'[{"event":"open","timestamp":' + b"9" * 5_000 + b"}]", 400),
    (b'[{"event":"\\ud800","sg_event_id":"\\u0000"}]', 200), (b"\xef\xbb\xbf[]", 200), (b"\xff\xfe[\x00]\x00", 403),
    (b"\x1f\x8b\x08\x00garbage", 403), (b"[" + b"{}," * 10_000 + b"{}]", 413),
    (b"[" + b"{}," * 9_999 + b"{}]", 200), (b'[{"event":"click","url":"' + b"x" * 1_000_000 + b'"}]', 200),
    (b" " * (MAX_WEBHOOK_BYTES + 1), 413),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), SHAPES, ids=lambda value: repr(value)[:30])
def test_a_signed_body_of_any_shape_has_its_answer(
    client: TestClient, sendgrid: SendGrid, empty_database: str, body: bytes, status: int
) -> None:
    assert sendgrid.post(client, body).status_code == status


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=8))
EVENTS = st.fixed_dictionaries(
    {"event": st.one_of(st.sampled_from(["open", "bounce", "dropped", "unsubscribe", "click", "delivered"]), VALUES)},
    optional={
        name: st.one_of(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.text(max_size=3), VALUES, max_size=2))
        for name in ("email", "timestamp", "sg_event_id", "sg_message_id", "reason", "status", "type", "url",
                     "lifecycle_message_id", "sg_machine_open", "bounce_classification", "smtp-id")
    },
)  # fmt: skip


@pytest.mark.needs_processors
def test_g17_no_body_is_answered_with_500(sendgrid: SendGrid, twilio: Twilio, empty_database: str) -> None:
    app = create_app(WebhookKeys((sendgrid.public_key,), (twilio.token,)))
    seen: dict[int, int] = {}

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        batch=st.lists(st.one_of(EVENTS, VALUES), max_size=6),
        raw=st.binary(max_size=40),
        fields=st.dictionaries(
            st.sampled_from(["MessageSid", "MessageStatus", "ErrorCode", "From", "To", "Body", "OptOutType", "x"]),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=6,
        ),
        code=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
    )  # fmt: skip
    def fuzz(batch: list[Any], raw: bytes, fields: dict[str, str], code: str) -> None:
        answers = [
            sendgrid.post(client, json.dumps(batch).encode()),
            client.post("/sendgrid/events", content=raw, headers=sendgrid.headers(raw)),
            twilio.post(client, "/twilio/status?message_id=1", fields),
            twilio.post(client, "/twilio/inbound", fields),
        ]
        for answer in answers:
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 400, 403)
        assert answers[0].status_code == 200

    # One loop for all requests is a lot faster than one for each.
    with TestClient(app, raise_server_exceptions=False) as client:
        fuzz()
    assert sum(seen.values()) >= 1_600


# --- T8 to T12 ----------------------------------------------------------------------------------------------------------

PROXIES = {
    "none": {},
    "another host": {"Host": "evil.example"},
    "an internal host": {"Host": "receiver:8026"},
    "forwarded host": {"X-Forwarded-Host": "evil.example"},
    "forwarded https": {"X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
    "forwarded ftp": {"X-Forwarded-Proto": "ftp"},
    "forwarded for": {"X-Forwarded-For": "10.0.0.1, 203.0.113.7"},
    "the standard header": {"Forwarded": "for=10.0.0.1;host=evil.example;proto=https"},
    "original address": {"X-Original-URL": "/twilio/inbound", "X-Rewrite-URL": "/admin"},
}


@pytest.mark.parametrize("headers", PROXIES.values(), ids=PROXIES)
def test_t8_twilio_is_known_behind_any_proxy(
    client: TestClient, twilio: Twilio, sent: SentMessages, headers: dict[str, str]
) -> None:
    (message_id,) = sent.add(channel="sms")
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "SomethingNew": "", "Ünïcode": "日本 +&="}
    answer = twilio.post(client, f"/twilio/status?message_id={message_id}", fields, **headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert sent.state(message_id, "delivery_state") == ("delivered",)


def test_t8_an_address_signed_for_another_host_is_not_ours(
    client: TestClient, twilio: Twilio, sent: SentMessages
) -> None:
    signed = twilio.signature("http://evil.example/twilio/inbound", {"Body": "STOP"})
    answer = client.post("/twilio/inbound", data={"Body": "STOP"}, headers={**signed, "Host": "evil.example"})
    assert answer.status_code == 403


def test_the_newer_signature_of_twilio_counts(client: TestClient, twilio: Twilio, sent: SentMessages) -> None:
    fields = {"MessageSid": "IN1", "From": "+33639980001", "Body": "STOP"}
    headers = twilio.signature(f"{PUBLIC_URL}/twilio/inbound", fields, "HMAC_SHA256")
    answer = client.post("/twilio/inbound", data=fields, headers={**headers, "Content-Type": FORM})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text.endswith("<Response/>")
    assert sent.suppressions() == [("sms", "stop", "twilio", True)]


def test_a_field_that_comes_twice_is_signed_as_often_and_read_once(
    client: TestClient, twilio: Twilio, sent: SentMessages
) -> None:
    body = "MessageSid=IN1&From=%2B33639980001&Body=hi&Body=STOP"
    once = twilio.signature(f"{PUBLIC_URL}/twilio/inbound", {"MessageSid": "IN1", "From": "+33639980001", "Body": "hi"})
    headers = {"Content-Type": FORM}
    assert client.post("/twilio/inbound", content=body, headers={**headers, **once}).status_code == 403
    assert sent.suppressions() == []
    pairs: Any = FormFields([("MessageSid", "IN1"), ("From", "+33639980001"), ("Body", "hi"), ("Body", "STOP")])
    twice = twilio.signature(f"{PUBLIC_URL}/twilio/inbound", pairs)
    assert client.post("/twilio/inbound", content=body, headers={**headers, **twice}).status_code == 200
    assert sent.suppressions() == [("sms", "stop", "twilio", True)]


PAYLOADS = [
    "'; drop table lifecycle.messages; --", "' or 1=1 --", "$$ select pg_sleep(9) $$", "\\'; select 1", "{{ 7*7 }}",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0", "+1+1", "@SUM(A1)", "-2+3",
    "line\r\nSet-Cookie: a=b", "a\nERROR forged log line", "\x1b[31mred", "%s%s%n", "${jndi:ldap://x}", "\u202egnp.exe",
    "\u0000", "\ud800", "🙂" * 500, "null", "NaN", "../../etc/passwd", "{0.__class__}", "\x7f\x80",
]  # fmt: skip


def test_t9_what_an_event_says_is_never_executed(
    client: TestClient, sendgrid: SendGrid, sent: SentMessages, caplog: pytest.LogCaptureFixture
) -> None:
    (message_id,) = sent.add()
    fields = (
        "reason",
        "useragent",
        "url",
        "email",
        "sg_message_id",
        "status",
        "type",
        "sg_event_id",
        "event",
        "smtp-id",
    )
    batch = []
    for number, payload in enumerate(PAYLOADS * 2):
        for field in fields:
            name = "bounce" if number % 2 else "click"
            batch.append({**event_of(name, message_id, number), "sg_event_id": f"{field}{number}", field: payload})
    assert len(batch) == 500
    assert sendgrid.post(client, batch).status_code == 200
    assert sent.connection.execute("select count(*) from lifecycle.messages").fetchall() == [(1,)]
    stored = sent.connection.execute("select row_to_json(e)::text from lifecycle.message_events as e").fetchall()
    codes = sent.connection.execute("select distinct code from lifecycle.message_events").fetchall()
    assert len(stored) > 100
    assert codes == [("",)]
    assert len(caplog.records) <= 1
    assert not any("\n" in record.getMessage() or "script" in record.getMessage() for record in caplog.records)


def test_t10_nothing_is_acknowledged_that_is_not_stored(
    client: TestClient, sendgrid: SendGrid, sent: SentMessages, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    events = [event_of("delivered", message_id) for message_id in sent.add(200)]
    waiting, acknowledged = list(events), 0
    for turn in range(60):
        if turn == 10:
            monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:9/none")
        if turn == 20:
            monkeypatch.setenv("LIFECYCLE_DATABASE_URL", empty_database)
        if turn == 30:
            sent.connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        answer = sendgrid.post(client, waiting[:5])
        if answer.status_code == 200:
            acknowledged += len(waiting[:5])
            waiting = waiting[5:]
        else:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert "secret" not in answer.text
        stored = sent.connection.execute("select count(*) from lifecycle.message_events").fetchone()
        assert stored == (acknowledged,)
    assert waiting == []


def test_t11_no_genuine_event_is_refused_while_keys_change(sent: SentMessages) -> None:
    old, new = SendGrid(), SendGrid()
    old_token, new_token = Twilio("old"), Twilio("new")
    client = TestClient(create_app(WebhookKeys()))
    stages = [((old,), (old_token,)), ((new, old), (new_token, old_token)), ((new,), (new_token,))]
    for number, (known, tokens) in enumerate(stages):
        keys = WebhookKeys(tuple(one.public_key for one in known), tuple(one.token for one in tokens))
        client = TestClient(create_app(keys))
        for sender in known:
            assert sender.post(client, [event_of("open", None, number)]).status_code == 200
        for speaker in tokens:
            assert speaker.text(client, "hi", "+33639980001", f"{speaker.token}{number}").status_code == 200
    assert old.post(client, []).status_code == 403
    assert old_token.text(client, "hi", "+33639980001", "late").status_code == 403


@pytest.mark.needs_processors
def test_t12_g22_a_thousand_of_a_thousand_late_refusals_count_before_the_next_claim(
    client: TestClient, twilio: Twilio, shop: Any
) -> None:
    count = 1_000
    sent = SentMessages(shop.connection)
    for number in range(1, count + 11):
        shop.customer(f"person-{number}", phone=f"+3363998{number:04d}")
    sent.add(count + 10, channel="sms", send_state="queued")
    sent.connection.execute(
        "insert into lifecycle.enrollments (journey, customer_id, anchor, entered_at) "
        "select journey, customer_id, anchor, now() from lifecycle.messages"
    )
    for number in range(1, count + 1):
        assert twilio.text(client, "STOP", f"+3363998{number:04d}", f"IN{number}").status_code == 200
    declared = journeys.load("reactivation")
    today = runs.for_day(declared.journey, datetime.now(timezone.utc).date(), declared.zone)
    with database.transaction() as connection:
        claimed = outbox.claim(connection, today, declared.journey.steps[0], shard=0, shards=1, chunk=2 * count)
    assert Counter(row.send_state for row in claimed) == {"skipped": count, "sending": 10}


def test_batches_that_meet_wait_for_each_other(sendgrid: SendGrid, sent: SentMessages) -> None:
    story = lives(sent.add(200))
    client = TestClient(create_app(WebhookKeys((sendgrid.public_key,))))
    statuses: list[int] = []

    def post(seed: int) -> None:
        shuffled = random.Random(seed).sample(story, len(story))
        statuses.extend(
            sendgrid.post(client, shuffled[first : first + 100]).status_code for first in range(0, 600, 100)
        )

    threads = [threading.Thread(target=post, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/sendgrid/events", "/twilio/status", "/twilio/inbound"])
def test_a_webhook_is_posted(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


def test_a_signature_is_of_bytes_and_not_of_meaning(client: TestClient, sendgrid: SendGrid, sent: SentMessages) -> None:
    body = b'[ {"event" : "open", "email":"\\u00e9"} ]\r\n'
    assert client.post("/sendgrid/events", content=body, headers=sendgrid.headers(body)).status_code == 200
    same = json.dumps(json.loads(body)).encode()
    assert client.post("/sendgrid/events", content=same, headers=sendgrid.headers(body)).status_code == 403
    assert base64.b64decode(sendgrid.public_key)
