"""A receiver that could be told anything by anybody does not start (threat T14)."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from starlette.testclient import TestClient
from tests.lifecycle.receiver.providers import SendGrid

from lifecycle.errors import LifecycleError
from lifecycle.receiver import keys, server
from lifecycle.receiver.app import create_app
from lifecycle.sandbox import keys as sandbox_keys

REAL = SendGrid().public_key


class Start(NamedTuple):
    """One way to start a receiver; `says` is what it is refused with."""

    name: str
    live: bool = False
    sendgrid: str = ""
    twilio: str = ""
    host: str = "127.0.0.1"
    insecure: bool = False
    url: str = "https://links.example"
    says: str = ""


MATRIX = [
    Start("beside the sandbox"),
    Start("beside the sandbox, reachable", host="0.0.0.0"),
    Start("live without keys", live=True, says="no key to check webhooks with"),
    Start("live without keys, reachable", live=True, host="0.0.0.0", says="no key"),
    Start("live without keys on purpose", live=True, insecure=True),
    Start("insecure and reachable", insecure=True, host="0.0.0.0", says="--insecure is not possible"),
    Start("insecure and reachable by IPv6", insecure=True, host="::", says="--insecure is not possible"),
    Start("insecure and reachable with keys", sendgrid=REAL, insecure=True, host="10.0.0.1", says="--insecure"),
    Start("live with both", live=True, sendgrid=REAL, twilio="token", host="0.0.0.0"),
    Start("live with SendGrid only", live=True, sendgrid=REAL, host="0.0.0.0"),
    Start("live with two keys", live=True, sendgrid=f"{SendGrid().public_key}, {REAL},"),
    Start("live with garbage", live=True, sendgrid="garbage", says="something that is no key"),
    Start("live with a garbled second key", live=True, sendgrid=f"{REAL},{REAL[:40]}", says="something that is no key"),
    Start("live with the sandbox's key", live=True, sendgrid="sandbox", says="with a key of the sandbox"),
    Start("live with the sandbox's token", live=True, twilio="sandbox", says="with a key of the sandbox"),
    Start("live without a public address", live=True, twilio="token", url="", says="needs LIFECYCLE_PUBLIC_URL"),
    Start("localhost by name", live=True, insecure=True, host="localhost"),
    Start("a name that says nothing", live=True, insecure=True, host="receiver", says="--insecure is not possible"),
]


@pytest.mark.parametrize("start", MATRIX, ids=lambda start: start.name)
def test_t14_start_matrix(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes" if start.live else "")
    sendgrid = sandbox_keys.sendgrid_public_key() if start.sendgrid == "sandbox" else start.sendgrid
    twilio = sandbox_keys.twilio_auth_token() if start.twilio == "sandbox" else start.twilio
    monkeypatch.setenv("LIFECYCLE_SENDGRID_WEBHOOK_KEYS", sendgrid)
    monkeypatch.setenv("LIFECYCLE_TWILIO_AUTH_TOKENS", twilio)
    monkeypatch.setenv("LIFECYCLE_PUBLIC_URL", start.url)
    if start.says:
        with pytest.raises(LifecycleError, match=start.says) as refusal:
            keys.required(start.host, is_insecure=start.insecure)
        assert not sendgrid or sendgrid not in str(refusal.value)
        return
    found = keys.required(start.host, is_insecure=start.insecure)
    assert found.is_unchecked is start.insecure
    assert start.insecure or found.sendgrid or found.twilio
    if not start.live:
        assert found.sendgrid == (sandbox_keys.sendgrid_public_key(),)


def test_t14_serving_asks_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    with pytest.raises(LifecycleError, match="no key to check webhooks with"):
        server.serve(0, "127.0.0.1")
    with pytest.raises(LifecycleError, match="--insecure is not possible"):
        server.serve(0, "0.0.0.0", insecure=True)


def test_without_keys_on_purpose_unsigned_webhooks_are_taken_and_with_one_they_are_not(empty_database: str) -> None:
    open_to_all = TestClient(create_app(keys.WebhookKeys(is_unchecked=True)))
    assert open_to_all.post("/sendgrid/events", content=b"[]").status_code == 200
    assert open_to_all.post("/twilio/inbound", data={"MessageSid": "IN1", "From": "+1", "Body": "x"}).status_code == 200
    checked = TestClient(create_app(keys.WebhookKeys((REAL,), is_unchecked=True)))
    assert checked.post("/sendgrid/events", content=b"[]").status_code == 403
    closed = TestClient(create_app(keys.WebhookKeys((REAL,))))
    assert closed.post("/twilio/inbound", data={"Body": "x"}).status_code == 403
