"""What comes back from the sandbox: events and callbacks that the official SDKs verify, and people who react."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
from sendgrid.helpers.eventwebhook import EventWebhook
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from lifecycle.receiver.visitors import is_machine
from lifecycle.sandbox import keys
from lifecycle.sandbox.app import create_app
from lifecycle.sandbox.events import first_link
from lifecycle.sandbox.people import PHONE, chance, email_story, sms_story
from lifecycle.sandbox.switches import People

SID = "AC" + "0" * 32
KEY = {"Authorization": "Bearer SG.test"}
PUBLIC = "https://shop.example"


class Got(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def events(self) -> list[dict[str, Any]]:
        return json.loads(self.body)


class Receiver:
    """Takes what is posted to it; the first `refusals` requests are answered 503."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.refusals = 0
        self.url = ""

    def posts(self, path: str) -> list[Got]:
        return [one for one in list(self.got) if one.path.startswith(path) and one.method == "POST"]

    def events(self) -> list[dict[str, Any]]:
        return [event for one in self.posts("/events") for event in one.events]

    def names(self) -> Counter[str]:
        return Counter(event["event"] for event in self.events())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.got.append(Got(self.command, self.path, dict(self.headers), body))
            receiver.refusals -= 1
            self.send_response(302 if self.command == "GET" else 503 if receiver.refusals >= 0 else 204)
            self.send_header("Location", f"{receiver.url}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - named by the base class

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        yield client


def webhooks(client: TestClient, receiver: Receiver, **more: Any) -> None:
    given = {
        "sendgrid_url": f"{receiver.url}/events",
        "twilio_status": True,
        "twilio_inbound_url": f"{PUBLIC}/inbound",
        "public_url": PUBLIC,
        "receiver_url": receiver.url,
        "retry_seconds": 0.05,
        **more,
    }
    assert client.put("/webhooks", json=given).status_code == 200


def people(client: TestClient, **rates: Any) -> None:
    assert client.put("/people", json=rates).status_code == 200


def send_mail(client: TestClient, count: int = 1, html: str = "<p>Hello</p>", **more: Any) -> None:
    persons = [
        {"to": [{"email": f"p{n}@example.com"}], "custom_args": {"lifecycle_message_id": f"m{n}"}} for n in range(count)
    ]
    body = {
        "personalizations": persons,
        "from": {"email": "shop@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/html", "value": html}],
        **more,
    }
    assert client.post("/v3/mail/send", json=body, headers=KEY).status_code == 202


def send_sms(client: TestClient, message_id: str = "m1", body: str = "Hello", **more: str) -> None:
    form = {"To": "+447700900123", "From": "+15005550006", "Body": body, **more}
    form["StatusCallback"] = f"{PUBLIC}/status?message_id={message_id}&x=%20y"
    answer = client.post(f"/2010-04-01/Accounts/{SID}/Messages.json", data=form, auth=(SID, "token"))
    assert answer.status_code == 201


def wait_for(holds: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def counts(client: TestClient) -> dict[str, int]:
    return client.get("/webhooks").json()["counts"]


def all_done(client: TestClient) -> bool:
    return counts(client)["pending"] == 0


def test_nothing_is_planned_or_posted_before_something_is_switched_on(client: TestClient, receiver: Receiver):
    send_mail(client)
    send_sms(client)
    assert counts(client) == {"pending": 0, "done": 0, "given_up": 0}
    assert receiver.got == []


def test_email_events_are_signed_as_sendgrids_own_sdk_verifies(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    send_mail(client, 3)
    wait_for(lambda: receiver.names() == {"processed": 3, "delivered": 3})
    for post in receiver.posts("/events"):
        signature = post.headers["X-Twilio-Email-Event-Webhook-Signature"]
        timestamp = post.headers["X-Twilio-Email-Event-Webhook-Timestamp"]
        verifier = EventWebhook(keys.sendgrid_public_key())
        assert verifier.verify_signature(post.body.decode(), signature, timestamp)
        assert not verifier.verify_signature(post.body.decode().strip(), signature, timestamp), "every byte counts"


def test_an_event_carries_our_id_at_its_top_and_the_id_of_the_request(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    send_mail(client, 2, categories=["news"])
    wait_for(lambda: receiver.names()["delivered"] == 2)
    provider_id = client.get("/messages.json").json()[0]["provider_id"]
    events = [event for event in receiver.events() if event["event"] == "delivered"]
    assert {event["lifecycle_message_id"]: event["email"] for event in events} == {
        "m0": "p0@example.com",
        "m1": "p1@example.com",
    }
    assert all(event["sg_message_id"].startswith(f"{provider_id}.") for event in events)
    assert len({event["sg_event_id"] for event in receiver.events()}) == 4
    assert events[0]["category"] == ["news"]


def test_sms_callbacks_are_signed_for_the_public_address_as_twilios_own_sdk_verifies(
    client: TestClient, receiver: Receiver
):
    webhooks(client, receiver)
    people(client, reply_stop=1)
    send_sms(client)
    wait_for(lambda: len(receiver.posts("/status")) == 2 and receiver.posts("/inbound"))
    validator = RequestValidator(keys.twilio_auth_token())
    for post in receiver.posts("/"):
        assert validator.validate(PUBLIC + post.path, post.form, post.headers["X-Twilio-Signature"])
        assert not validator.validate(receiver.url + post.path, post.form, post.headers["X-Twilio-Signature"])
    statuses = [post.form["MessageStatus"] for post in receiver.posts("/status")]
    assert sorted(statuses) == ["delivered", "sent"]
    assert "message_id=m1" in receiver.posts("/status")[0].path
    (reply,) = receiver.posts("/inbound")
    assert (reply.form["From"], reply.form["To"]) == ("+447700900123", "+15005550006")
    assert reply.form["Body"].upper() == "STOP"


def test_an_sms_of_a_service_is_queued_before_it_is_sent(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    send_sms(client, From="", MessagingServiceSid="MG" + "a" * 32)
    wait_for(lambda: len(receiver.posts("/status")) == 3)
    assert {post.form["MessageStatus"] for post in receiver.posts("/status")} == {"queued", "sent", "delivered"}


def test_what_is_not_taken_comes_again_and_is_the_same_event(client: TestClient, receiver: Receiver):
    receiver.refusals = 3
    webhooks(client, receiver)
    send_mail(client)
    wait_for(lambda: all_done(client) and receiver.got)
    posted = [one.body for one in receiver.posts("/events")]
    assert len(posted) == 4
    assert len(set(posted)) == 1
    assert counts(client)["done"] == 2


def test_a_receiver_that_stays_away_is_given_up_in_the_end(client: TestClient, receiver: Receiver):
    receiver.refusals = 100
    webhooks(client, receiver, max_attempts=2)
    send_mail(client)
    wait_for(lambda: counts(client)["given_up"] == 2)
    assert len(receiver.posts("/events")) == 2


def test_events_wait_for_a_receiver_through_a_restart(tmp_path: Path, receiver: Receiver, monkeypatch: Any):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    receiver.refusals = 1
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        webhooks(client, receiver, retry_seconds=0.5)
        send_mail(client)
        wait_for(lambda: receiver.got)
    assert receiver.refusals == 0
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        wait_for(lambda: all_done(client))
        assert len(receiver.events()) == 4


def test_events_can_come_twice_and_out_of_order(client: TestClient, receiver: Receiver):
    webhooks(client, receiver, duplicates=0.5, shuffle=True, batch_size=20)
    send_mail(client, 100)
    wait_for(lambda: all_done(client) and receiver.got)
    told = [event["sg_event_id"] for event in receiver.events()]
    assert len(set(told)) == 200
    assert 250 < len(told) < 350
    order = [(event["lifecycle_message_id"], event["event"]) for event in receiver.events()]
    assert any(order.index((f"m{n}", "delivered")) < order.index((f"m{n}", "processed")) for n in range(100))
    assert max(len(post.events) for post in receiver.posts("/events")) == 20


def test_held_mail_is_reported_when_it_goes(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    send_mail(client, send_at=int(time.time()) + 3600)
    time.sleep(0.1)
    assert receiver.got == []
    client.post("/clock", json={"advance_seconds": 3601})
    wait_for(lambda: receiver.names() == {"processed": 1, "delivered": 1})


def test_people_do_what_the_rates_say_and_always_the_same(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    people(client, open=0.3, click=0.1, bounce=0.1, drop=0.05, defer=0.1, complain=0.02, unsubscribe=0.05, seed=3)
    send_mail(client, 400)
    wait_for(lambda: all_done(client) and receiver.got, seconds=20)
    first = receiver.names()
    assert first["processed"] + first["dropped"] == 400
    assert first["delivered"] + first["bounce"] == first["processed"]
    for name, low, high in (("bounce", 20, 60), ("open", 90, 170), ("click", 20, 60), ("spamreport", 1, 20)):
        assert low <= first[name] <= high, (name, first)
    receiver.got.clear()
    send_mail(client, 400)
    wait_for(lambda: all_done(client) and sum(receiver.names().values()) == sum(first.values()), seconds=20)
    assert receiver.names() == first


def test_the_logs_and_the_inbox_know_who_bounced(client: TestClient, receiver: Receiver):
    people(client, bounce=1)
    send_mail(client)
    send_sms(client)
    wait_for(lambda: all_done(client))
    assert {message["status"] for message in client.get("/messages.json").json()} == {"bounced", "undelivered"}
    found = client.post("/v3/logs", json={"query": "status IN ('bounced')"}, headers=KEY).json()["messages"]
    assert len(found) == 1
    listed = client.get(f"/2010-04-01/Accounts/{SID}/Messages.json", auth=(SID, "token")).json()["messages"]
    assert (listed[0]["status"], listed[0]["error_code"]) == ("undelivered", 30003)


def test_a_click_opens_the_link_as_a_phone_would_and_goes_no_further(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    people(client, click=1)
    links = f'<a href="{PUBLIC}/l/abc?a=1&amp;b=2">Go</a> <a href="{PUBLIC}/u/xyz">Unsubscribe</a>'
    send_mail(client, html=links)
    send_sms(client, body=f"Win: {PUBLIC}/l/def. Reply STOP")
    wait_for(lambda: all_done(client) and receiver.got)
    opened = [one for one in receiver.got if one.method == "GET"]
    assert sorted(one.path for one in opened) == ["/l/abc?a=1&b=2", "/l/def"]
    assert {one.headers["User-Agent"] for one in opened} == {PHONE}
    assert not is_machine("GET", {"user-agent": PHONE})


def test_nothing_but_this_machine_is_ever_opened_or_called_back(client: TestClient, receiver: Receiver):
    webhooks(client, receiver, public_url="", twilio_inbound_url="")
    people(client, click=1)
    send_mail(client, html='<a href="http://192.0.2.1/l/abc">Go</a>')
    send_mail(client, html='<a href="http://[1/l/abc">Go</a>')
    send_sms(client)
    wait_for(lambda: all_done(client) and receiver.got)
    assert counts(client)["not_local"] == 3
    assert {one.path for one in receiver.got} == {"/events"}


def test_a_message_that_is_not_tracked_has_no_opens_and_clicks(client: TestClient, receiver: Receiver):
    tracking = {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}}
    webhooks(client, receiver)
    people(client, open=1, click=1)
    send_mail(client, tracking_settings=tracking)
    wait_for(lambda: all_done(client) and receiver.got)
    assert receiver.names() == {"processed": 1, "delivered": 1}
    people(client, open=1, always_tracked=True)
    send_mail(client, tracking_settings=tracking)
    wait_for(lambda: receiver.names()["open"] == 1)


def test_purchases_are_listed_for_whoever_turns_them_into_orders(client: TestClient):
    people(client, buy=1)
    send_sms(client)
    (bought,) = client.get("/purchases.json").json()
    assert (bought["message_id"], bought["to_address"]) == ("m1", "+447700900123")


def test_delays_are_kept_by_the_sandboxes_clock(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    people(client, delay_seconds=[100, 100])
    send_mail(client)
    client.post("/clock", json={"advance_seconds": 150})
    wait_for(lambda: receiver.names() == {"processed": 1})
    client.post("/clock", json={"advance_seconds": 100})
    wait_for(lambda: receiver.names() == {"processed": 1, "delivered": 1})


def test_switched_off_people_and_webhooks_plan_nothing_more(client: TestClient, receiver: Receiver):
    webhooks(client, receiver)
    people(client, open=1)
    client.delete("/webhooks")
    assert client.delete("/people").json()["open"] == 0
    send_mail(client)
    assert counts(client)["pending"] == 0


def test_cleared_messages_take_their_events_along(client: TestClient, receiver: Receiver):
    people(client, delay_seconds=[100, 100])
    send_mail(client)
    client.delete("/messages.json")
    assert counts(client) == {"pending": 0, "done": 0, "given_up": 0}


@pytest.mark.parametrize(
    "given", [{"open": 1.5}, {"opens": 1}, {"delay_seconds": [2, 1]}, {"delay_seconds": 3}, {"seed": 1.5}, [], 3]
)
def test_people_that_cannot_be_are_refused(client: TestClient, given: Any):
    assert client.put("/people", json=given).status_code == 400


@pytest.mark.parametrize(
    "given",
    [{"sendgrid_url": "ftp://x"}, {"sendgrid_url": "http://[1"}, {"twilio_status": 1}, {"batch_size": 0}, {"x": 1}],
)
def test_webhooks_that_cannot_be_are_refused(client: TestClient, given: Any):
    assert client.put("/webhooks", json=given).status_code == 400


def test_the_keys_are_made_once_and_for_their_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "new"))
    with_threads: set[str] = set()
    threads = [threading.Thread(target=lambda: with_threads.add(keys.twilio_auth_token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(with_threads) == 1
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == "sandbox_keys.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(path.read_text())) == {
        "sendgrid_private_key_pem",
        "sendgrid_public_key",
        "twilio_auth_token",
    }
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "other"))
    assert keys.twilio_auth_token() not in with_threads


def test_a_higher_rate_only_adds_people():
    few, many = (
        {n for n in range(1000) if ("open", 0.0) in email_story(str(n), People(open=rate))} for rate in (0.1, 0.3)
    )
    assert few < many
    assert 250 < len(many) < 350


def test_a_story_has_its_order_and_its_pauses():
    story = sms_story("m1", People(click=1, buy=1, reply_stop=1, delay_seconds=(1, 2)), by_service=True)
    assert [name for name, _ in story] == ["queued", "sent", "delivered", "click", "buy", "stop"]
    times = [0.0, *(after for _, after in story)]
    assert all(1 <= later - earlier <= 2 for earlier, later in itertools.pairwise(times))


def test_chances_differ_by_seed_person_and_deed():
    drawn = {chance(seed, key, what) for seed in (1, 2) for key in ("a", "b") for what in ("open", "click")}
    assert len(drawn) == 8
    assert all(0 <= one < 1 for one in drawn)


@pytest.mark.parametrize(
    ("html", "text", "unsubscribe", "link"),
    [
        ("", "", "", ""),
        ("", "see https://a.example/x now", "", "https://a.example/x"),
        (
            '<a href="https://a.example/u">x</a><a href="https://a.example/l">y</a>',
            "",
            "<https://a.example/u>",
            "https://a.example/l",
        ),
        ('<link href="https://a.example/css"><a href="mailto:x@y.z">m</a>', "", "", ""),
    ],
)
def test_the_first_link_that_is_no_way_out_is_followed(html: str, text: str, unsubscribe: str, link: str):
    assert first_link(html, text, unsubscribe) == link
