"""The sandbox fails as providers fail, seen by the official SDKs, and still knows what it accepted."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import requests
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from starlette.testclient import TestClient
from tests.lifecycle.servers import running_sandbox
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from lifecycle import processes
from lifecycle.sandbox.app import create_app
from lifecycle.sandbox.faults import FAULTS

MAIL = {
    "personalizations": [
        {"to": [{"email": "aiko@example.com"}], "custom_args": {"lifecycle_message_id": "m1"}},
        {"to": [{"email": "sam@example.com"}], "custom_args": {"lifecycle_message_id": "m2"}},
    ],
    "from": {"email": "shop@example.com"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hello"}],
}
ACCEPTED = {"reset_after_accept", "late_accept", "late_answer", "503_accepted", "truncated_body"}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[str]:
    with running_sandbox(tmp_path / "sandbox.sqlite") as url:
        yield url


def ask(url: str, method: str = "GET", given: Any = None) -> Any:
    body = None if given is None else json.dumps(given).encode()
    with urlopen(Request(url, body, method=method)) as answer:
        return json.load(answer)


def faults(sandbox: str, *rules: dict[str, Any], **more: Any) -> None:
    ask(f"{sandbox}/faults", "PUT", {"faults": list(rules), **more})


def send_mail(sandbox: str, timeout: float = 5) -> Any:
    client: Any = SendGridAPIClient("SG.test", host=sandbox).client
    client.timeout = timeout
    return client.mail.send.post(request_body=MAIL)


def send_sms(sandbox: str, timeout: float = 5, times: int = 1) -> Any:
    class LocalClient(TwilioHttpClient):
        def request(self, method: str, url: str, *rest: Any, **options: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", sandbox), *rest, **options)

    client = Client("AC" + "0" * 32, "token", http_client=LocalClient(timeout=timeout))
    fields = {"body": "Hello", "from_": "+15005550006", "status_callback": "https://shop.example/s?message_id=m1"}
    return [client.messages.create("+447700900123", **fields) for _ in range(times)]


@pytest.mark.parametrize("fault", ["reset_before_accept", "reset_after_accept"])
def test_a_broken_connection_is_what_the_sendgrid_sdk_sees(sandbox: str, fault: str):
    faults(sandbox, {"fault": fault})
    with pytest.raises(ConnectionResetError):
        send_mail(sandbox)
    assert ask(f"{sandbox}/deliveries.json") == ({"m1": 1, "m2": 1} if fault in ACCEPTED else {})


@pytest.mark.parametrize("fault", ["reset_before_accept", "reset_after_accept"])
def test_a_broken_connection_is_what_the_twilio_sdk_sees(sandbox: str, fault: str):
    faults(sandbox, {"fault": fault, "provider": "twilio"})
    with pytest.raises(requests.exceptions.ConnectionError):
        send_sms(sandbox)
    assert ask(f"{sandbox}/deliveries.json") == ({"m1": 1} if fault in ACCEPTED else {})


def test_a_kept_connection_breaks_too_and_the_next_call_gets_through(sandbox: str):
    send_sms(sandbox)
    faults(sandbox, {"fault": "reset_after_accept", "for_next": 1})
    with pytest.raises(requests.exceptions.ConnectionError):
        send_sms(sandbox, times=2)
    send_sms(sandbox)
    assert ask(f"{sandbox}/deliveries.json") == {"m1": 3}


def test_an_answer_that_is_too_late_belongs_to_a_mail_that_was_taken(sandbox: str):
    faults(sandbox, {"fault": "late_answer", "delay_ms": 3000})
    with pytest.raises(TimeoutError):
        send_mail(sandbox, timeout=1)
    with pytest.raises(requests.exceptions.ReadTimeout):
        send_sms(sandbox, timeout=1)
    assert ask(f"{sandbox}/deliveries.json") == {"m1": 2, "m2": 1}


def test_a_mail_can_arrive_after_its_sender_gave_up_and_cancelled_its_batch(sandbox: str):
    client: Any = SendGridAPIClient("SG.test", host=sandbox).client
    batch_id = json.loads(client.mail.batch.post().body)["batch_id"]
    faults(sandbox, {"fault": "late_accept", "delay_ms": 3000})
    client.timeout = 0.3
    body = {**MAIL, "batch_id": batch_id, "send_at": int(time.time()) + 900}
    with pytest.raises(TimeoutError):
        client.mail.send.post(request_body=body)
    given = {"batch_id": batch_id, "status": "cancel"}
    assert client.user.scheduled_sends.post(request_body=given).status_code == 201
    assert ask(f"{sandbox}/stats.json")["requests"] == 0
    assert processes.wait_until(lambda: ask(f"{sandbox}/stats.json")["requests"] == 1, 60)
    ask(f"{sandbox}/clock", "POST", {"advance_seconds": 1000})
    assert ask(f"{sandbox}/stats.json")["email"] == {"sent": 0, "scheduled": 0, "cancelled": 2}


def test_a_sender_killed_while_writing_has_sent_nothing(sandbox: str, caplog: pytest.LogCaptureFixture):
    port = int(sandbox.rpartition(":")[2])
    for rules in ([], [{"fault": "late_answer", "delay_ms": 0}]):
        faults(sandbox, *rules)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(
                b"POST /v3/mail/send HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
                b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
            )
    time.sleep(0.1)
    assert ask(f"{sandbox}/stats.json")["requests"] == 0
    assert caplog.records == []


def test_who_waits_long_enough_gets_the_late_answer(sandbox: str):
    faults(sandbox, {"fault": "late_answer", "delay_ms": 200})
    began = time.monotonic()
    assert send_mail(sandbox).status_code == 202
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("fault", ["503_not_accepted", "503_accepted", "429", "401"])
def test_a_refusal_has_its_status_in_both_sdks(sandbox: str, fault: str):
    faults(sandbox, {"fault": fault, "retry_after": 7})
    with pytest.raises(HTTPError) as mail:
        send_mail(sandbox)
    with pytest.raises(TwilioRestException) as sms:
        send_sms(sandbox)
    assert mail.value.status_code == sms.value.status == int(fault[:3])
    assert mail.value.headers.get("Retry-After") == ("7" if fault == "429" else None)
    assert json.loads(mail.value.body)["errors"][0]["message"]
    assert sms.value.code in (20003, 20429, 20503)
    assert ask(f"{sandbox}/stats.json")["deliveries"] == (3 if fault in ACCEPTED else 0)


def test_half_an_answer_belongs_to_a_message_that_was_taken(sandbox: str):
    faults(sandbox, {"fault": "truncated_body"})
    with pytest.raises(http.client.IncompleteRead):
        send_mail(sandbox)
    with pytest.raises(requests.exceptions.RequestException):
        send_sms(sandbox)
    assert ask(f"{sandbox}/stats.json")["deliveries"] == 3


@pytest.mark.parametrize("fault", sorted(ACCEPTED - {"late_answer", "late_accept"}))
def test_a_fault_after_the_fact_accepts_nothing_that_is_refused(sandbox: str, fault: str):
    faults(sandbox, {"fault": fault})
    with pytest.raises((requests.exceptions.RequestException, TwilioRestException)):
        requests.post(
            f"{sandbox}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json", data={"To": "banana"}, timeout=5
        ).raise_for_status()
    assert ask(f"{sandbox}/stats.json")["requests"] == 0


def test_every_answer_of_a_provider_can_be_slow(sandbox: str):
    faults(sandbox, latency_ms=2000)
    began = time.monotonic()
    send_mail(sandbox)
    assert time.monotonic() - began >= 2
    began = time.monotonic()
    ask(f"{sandbox}/deliveries.json")
    assert time.monotonic() - began < 2


def test_a_rate_and_a_seed_hit_the_same_calls_again(client: TestClient):
    hits = []
    for _ in range(2):
        client.put("/faults", json=[{"fault": "503_not_accepted", "rate": 0.3, "seed": 7}])
        hits.append([post(client) for _ in range(60)])
    assert hits[0] == hits[1]
    assert 8 <= hits[0].count(503) <= 30
    assert client.get("/faults").json()["faults"][0]["seen"] == 60
    assert client.get("/faults").json()["faults"][0]["struck"] == hits[0].count(503)
    assert client.get("/stats.json").json()["requests"] == sum(map([*hits[0], *hits[1]].count, [202]))


def test_a_fault_can_be_for_the_next_calls_only(client: TestClient):
    client.put("/faults", json=[{"fault": "429", "for_next": 2}])
    assert [post(client) for _ in range(4)] == [429, 429, 202, 202]


def test_a_fault_can_be_for_one_provider_and_for_calls_that_send_nothing(client: TestClient):
    client.put("/faults", json=[{"fault": "401", "provider": "twilio"}, {"fault": "429", "calls": "other"}])
    assert post(client) == 202
    assert client.post("/v3/mail/batch", headers={"Authorization": "Bearer SG.x"}).status_code == 429


def test_faults_are_off_at_first_and_off_again_when_told(client: TestClient):
    assert client.get("/faults").json() == {"latency_ms": 0, "faults": []}
    client.put("/faults", json=[{"fault": "503_not_accepted"}])
    assert post(client) == 503
    assert client.delete("/faults").json()["faults"] == []
    assert post(client) == 202


@pytest.mark.parametrize(
    "given",
    [
        {"fault": "503"},
        ["503"],
        [{}],
        [{"fault": "429", "rate": 2}],
        [{"fault": "429", "rte": 1}],
        {"latency_ms": -1},
        1,
    ],
)
def test_a_fault_that_does_not_exist_is_refused_and_changes_nothing(client: TestClient, given: Any):
    client.put("/faults", json=[{"fault": "429"}])
    assert client.put("/faults", json=given).status_code == 400
    assert [one["fault"] for one in client.get("/faults").json()["faults"]] == ["429"]


def test_the_counter_is_right_under_all_faults_and_a_restart(tmp_path: Path):
    """Ten ids per fault, each sent once: exactly those of accepting faults were delivered."""
    database = tmp_path / "sandbox.sqlite"
    with running_sandbox(database) as url:
        for fault in FAULTS:
            faults(url, {"fault": fault, "delay_ms": 0})
            for number in range(10):
                body = {**MAIL, "personalizations": [person(f"{fault}-{number}")]}
                try:
                    requests.post(f"{url}/v3/mail/send", json=body, headers={"Authorization": "Bearer x"}, timeout=60)
                except requests.exceptions.RequestException:
                    continue
    with running_sandbox(database) as url:
        counted = ask(f"{url}/deliveries.json")
        assert counted == {f"{fault}-{number}": 1 for fault in ACCEPTED for number in range(10)}
        assert ask(f"{url}/deliveries.json?only=duplicates") == {}


def person(message_id: str) -> dict[str, Any]:
    return {"to": [{"email": "a@example.com"}], "custom_args": {"lifecycle_message_id": message_id}}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        yield client


def post(client: TestClient) -> int:
    return client.post("/v3/mail/send", json=MAIL, headers={"Authorization": "Bearer SG.x"}).status_code
