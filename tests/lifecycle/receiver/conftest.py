"""A receiver with the keys of two providers, and messages they took."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from starlette.testclient import TestClient
from tests.conftest import plain
from tests.lifecycle.receiver.providers import SendGrid, Twilio
from tests.lifecycle.sent_messages import SentMessages

from lifecycle.receiver import limits
from lifecycle.receiver.app import create_app
from lifecycle.receiver.keys import WebhookKeys


@pytest.fixture(scope="session")
def sendgrid() -> SendGrid:
    return SendGrid()


@pytest.fixture(scope="session")
def twilio() -> Twilio:
    return Twilio()


@pytest.fixture
def sent(empty_database: str) -> Iterator[SentMessages]:
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        yield SentMessages(connection)


@pytest.fixture
def client(sendgrid: SendGrid, twilio: Twilio) -> TestClient:
    app = create_app(WebhookKeys((sendgrid.public_key,), (twilio.token,)))
    return TestClient(app, follow_redirects=False, raise_server_exceptions=True)


@pytest.fixture
def unforgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """No guess is forgotten while a test makes so many that a busy machine takes some seconds for them."""
    monkeypatch.setattr(limits, "GUESS_SECONDS", 3600.0)
