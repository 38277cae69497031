"""The sandbox's addresses, asked as any HTTP client would."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.lifecycle import official_specs

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.sandbox.app import bound_socket, create_app, serve

SID = "AC" + "0" * 32
MESSAGES = f"/2010-04-01/Accounts/{SID}/Messages"
KEY = {"Authorization": "Bearer SG.test"}
SMS = {"To": "+447700900123", "From": "+15005550006", "Body": "Hello"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tmp_path / "sandbox.sqlite"), raise_server_exceptions=False) as client:
        yield client


def mail(*people: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "personalizations": list(people) or [{"to": [{"email": "aiko@example.com"}]}],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Hello -name-",
        "content": [{"type": "text/plain", "value": "Dear -name-"}, {"type": "text/html", "value": "<p>-name-</p>"}],
        **more,
    }


def person(address: str, message_id: str, **substitutions: str) -> dict[str, Any]:
    return {
        "to": [{"email": address}],
        "custom_args": {"lifecycle_message_id": message_id},
        "substitutions": substitutions,
    }


def send_sms(client: TestClient, **changes: str) -> Any:
    return client.post(f"{MESSAGES}.json", data={**SMS, **changes}, auth=(SID, "token"))


def test_it_says_that_it_is_well(client: TestClient):
    assert client.get("/health").json() == {"status": "ok"}


def test_a_mail_is_taken_with_an_empty_answer_and_an_id(client: TestClient):
    answer = client.post("/v3/mail/send", json=mail(), headers=KEY)
    assert (answer.status_code, answer.content) == (202, b"")
    assert client.get("/messages.json").json()[0]["provider_id"] == answer.headers["X-Message-Id"]


def test_every_recipient_is_a_message_of_its_own_with_its_words_filled_in(client: TestClient):
    people = [
        person("aiko@example.com", "m1", **{"-name-": "Aiko"}),
        person("sam@example.com", "m2", **{"-name-": "-x- & <Sam>", "-x-": "no"}),
    ]
    client.post("/v3/mail/send", json=mail(*people), headers=KEY)
    sam, aiko = client.get("/messages.json").json()
    assert (aiko["subject"], aiko["text"], aiko["html"]) == ("Hello Aiko", "Dear Aiko", "<p>Aiko</p>")
    assert (sam["to_address"], sam["message_id"], sam["text"]) == ("sam@example.com", "m2", "Dear -x- & <Sam>")
    assert sam["sender"] == "Shop <shop@example.com>"


def test_of_two_tags_that_begin_alike_the_longer_one_is_filled_in(client: TestClient):
    people = person("aiko@example.com", "m1", **{"-name": "short", "-name-": "long"})
    client.post("/v3/mail/send", json=mail(people), headers=KEY)
    assert client.get("/messages.json").json()[0]["text"] == "Dear long"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}])
def test_a_mail_without_a_key_is_turned_away_in_sendgrids_words(client: TestClient, header: dict[str, str]):
    answer = client.post("/v3/mail/send", json=mail(), headers=header)
    assert answer.status_code == 401
    assert set(answer.json()["errors"][0]) == {"message", "field", "help"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"subject": "\\ud83d"}', b'{"from": 1e400}']
)
def test_a_body_that_is_no_mail_is_a_bad_request(client: TestClient, body: bytes):
    answer = client.post("/v3/mail/send", content=body, headers={**KEY, "Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_a_mail_that_is_no_json_is_refused(client: TestClient):
    assert client.post("/v3/mail/send", data={"a": "b"}, headers=KEY).status_code == 415


def test_a_mail_beyond_30_megabytes_gets_a_web_page(client: TestClient):
    answer = client.post(
        "/v3/mail/send", content=b" " * (30 * 2**20 + 1), headers={**KEY, "Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert "nginx" in answer.text


def test_sendgrids_own_sandbox_mode_checks_and_keeps_nothing(client: TestClient):
    body = mail(mail_settings={"sandbox_mode": {"enable": True}})
    assert client.post("/v3/mail/send", json=body, headers=KEY).status_code == 200
    assert client.get("/messages.json").json() == []


def test_a_refused_mail_is_not_kept(client: TestClient):
    assert client.post("/v3/mail/send", json=mail(subject=""), headers=KEY).status_code == 400
    assert client.get("/messages.json").json() == []


def test_an_sms_is_answered_with_the_whole_message(client: TestClient):
    answer = send_sms(client)
    message = answer.json()
    assert answer.status_code == 201
    assert (message["status"], message["num_segments"], message["body"]) == ("queued", "1", "Hello")
    if official_specs.ARE_HERE:
        assert official_specs.twilio_message_is_complete(message)


def test_an_sms_through_a_service_has_no_sender_yet(client: TestClient):
    message = send_sms(client, From="", MessagingServiceSid="MG" + "a" * 32).json()
    assert (message["status"], message["num_segments"], message["from"]) == ("accepted", "0", None)


def test_a_refused_sms_is_answered_in_twilios_words(client: TestClient):
    answer = send_sms(client, To="+15005550004")
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 21610,
        "message": "Attempt to send to unsubscribed recipient",
        "more_info": "https://www.twilio.com/docs/errors/21610",
        "status": 400,
    }


@pytest.mark.parametrize("credentials", [None, ("AC" + "1" * 32, "token"), (SID, ""), ("", "")])
def test_an_sms_without_the_accounts_token_is_turned_away(client: TestClient, credentials: Any):
    answer = client.post(f"{MESSAGES}.json", data=SMS, auth=credentials)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


def test_an_account_that_cannot_be_is_not_found(client: TestClient):
    answer = client.post("/2010-04-01/Accounts/AC1/Messages.json", data=SMS, auth=("AC1", "token"))
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


@pytest.mark.parametrize("body", [b"\xff", b"Body=%FF&To=%2B447700900123", b"&" * 5000 + b"a=b", b"a=b&" * 2000])
def test_a_form_that_is_none_is_refused(client: TestClient, body: bytes):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(f"{MESSAGES}.json", content=body, headers=headers, auth=(SID, "token")).status_code == 400


def test_the_list_of_sms_is_filtered_and_paged(client: TestClient):
    for body in ("one", "two", "three"):
        send_sms(client, Body=body)
    send_sms(client, To="+447700900999")
    page = client.get(f"{MESSAGES}.json", params={"To": SMS["To"], "PageSize": 2}, auth=(SID, "token")).json()
    assert [message["body"] for message in page["messages"]] == ["three", "two"]
    rest = client.get(page["next_page_uri"], auth=(SID, "token")).json()
    assert [message["body"] for message in rest["messages"]] == ["one"]
    assert rest["next_page_uri"] is None


def test_one_sms_is_fetched_by_its_sid(client: TestClient):
    sid = send_sms(client).json()["sid"]
    assert client.get(f"{MESSAGES}/{sid}.json", auth=(SID, "token")).json()["body"] == "Hello"
    assert client.get(f"{MESSAGES}/SM{'0' * 32}.json", auth=(SID, "token")).status_code == 404


@pytest.mark.parametrize(("path", "status"), [("/v3/mail/send", 405), ("/v3/mail/bath", 404)])
def test_a_wrong_address_speaks_sendgrids_language(client: TestClient, path: str, status: int):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["errors"]


@pytest.mark.parametrize(("path", "status"), [(f"{MESSAGES}.json", 405), ("/2010-04-01/Nothing", 404)])
def test_a_wrong_address_speaks_twilios_language(client: TestClient, path: str, status: int):
    answer = client.put(path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_deliveries_are_counted_by_our_message_id(client: TestClient):
    for message_id in ("m1", "m1", "m2"):
        send_sms(client, StatusCallback=f"https://shop.example/status?message_id={message_id}")
    client.post("/v3/mail/send", json=mail(person("a@example.com", "m3")), headers=KEY)
    send_sms(client)
    assert client.get("/deliveries.json").json() == {"m1": 2, "m2": 1, "m3": 1}


def test_messages_are_found_by_person_and_channel(client: TestClient):
    send_sms(client)
    client.post("/v3/mail/send", json=mail(), headers=KEY)
    assert [found["channel"] for found in client.get("/messages.json?channel=email").json()] == ["email"]
    assert [found["channel"] for found in client.get("/messages.json?to=AIKO@example.com").json()] == ["email"]
    # A plus sign that nobody escaped is what people type.
    assert [found["channel"] for found in client.get("/messages.json?to=+447700900123").json()] == ["sms"]
    assert client.get("/messages.json?channel=fax").json() == []


def test_a_follower_misses_nothing(client: TestClient):
    for body in "abcde":
        send_sms(client, Body=body)
    seen, since = "", 0
    while arrived := client.get("/messages.json", params={"since_id": since, "limit": 2}).json():
        seen += "".join(message["text"] for message in arrived)
        since = arrived[-1]["id"]
    assert seen == "abcde"


def test_cleared_messages_are_gone_and_their_numbers_not_used_again(client: TestClient):
    send_sms(client)
    before = client.get("/messages.json").json()[0]["id"]
    assert client.delete("/messages.json").status_code == 204
    assert client.get("/messages.json").json() == []
    send_sms(client)
    assert client.get("/messages.json").json()[0]["id"] > before


def test_messages_survive_a_restart(tmp_path: Path):
    for expected in (1, 2):
        with TestClient(create_app(tmp_path / "deep" / "sandbox.sqlite")) as client:
            send_sms(client)
            assert len(client.get("/messages.json").json()) == expected


def test_what_people_were_sent_is_readable_by_the_owner_only(tmp_path: Path):
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        send_sms(client)
        assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_the_request_is_kept_as_it_came(client: TestClient):
    text = json.dumps(mail(), indent=3, ensure_ascii=False)
    client.post("/v3/mail/send", content=text.encode(), headers={**KEY, "Content-Type": "application/json"})
    assert client.get("/messages.json").json()[0]["request"] == text


def test_a_taken_port_is_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LifecycleError, match=f"Port {port} on 127.0.0.1 is already taken") as caught:
            serve(port)
    assert "\n" not in str(caught.value)


def test_the_sandbox_starts_with_what_it_is_asked_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    with bound_socket(0) as free:
        port = free.getsockname()[1]
    options = {"latency_ms": 5, "people": {"open": 0.5}, "webhooks": None}
    code = f"from lifecycle.sandbox.app import serve; serve({port}, **{options!r})"
    server = subprocess.Popen([sys.executable, "-c", code], cwd=settings.project_root() / "plugins")
    try:
        assert eventually(f"http://127.0.0.1:{port}/people")["open"] == 0.5
        assert eventually(f"http://127.0.0.1:{port}/faults")["latency_ms"] == 5
    finally:
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)


def eventually(url: str) -> Any:
    for _ in range(600):
        try:
            return httpx2.get(url).json()
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.parametrize("options", [{"people": {"opens": 1}}, {"latency_ms": -1}, {"webhooks": {"sendgrid_url": "x"}}])
def test_a_wish_that_cannot_be_is_one_line(options: dict[str, Any]):
    with pytest.raises(LifecycleError, match="The sandbox cannot be set up"):
        serve(0, **options)


def test_a_free_port_is_given_when_none_is_asked_for():
    with bound_socket(0) as listening:
        assert listening.getsockname()[1] > 0
