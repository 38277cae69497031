"""Connections of Airflow that are missing or hold the wrong thing are one line (bad input 101)."""

from __future__ import annotations

import json

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.journey import Email, Sms, Step

STEPS = {
    "sendgrid": Step("hello", segment="unused.sql", message=Email("hello")),
    "twilio": Step("hello", segment="unused.sql", message=Sms("hello")),
}
ACCOUNTS = {
    "sendgrid": {"conn_type": "http", "password": "SG.real"},
    "twilio": {"conn_type": "http", "login": "AC" + "1" * 32, "password": "real"},
}


@pytest.fixture(autouse=True)
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    monkeypatch.setenv("LIFECYCLE_PUBLIC_URL", "https://links.shop.example")


@pytest.mark.parametrize("provider", STEPS)
def test_a_missing_connection_is_named(provider: str) -> None:
    from lifecycle import airflow_tasks

    with pytest.raises(LifecycleError) as told:
        airflow_tasks.channel_for(STEPS[provider])
    said = f"There is no Airflow connection 'lifecycle_{provider}'. Make it as docs/how-to/run-on-a-server.md says."
    assert str(told.value) == said


def test_a_task_without_its_database_fails_in_one_line_and_is_not_tried_again() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from lifecycle import airflow_tasks

    with pytest.raises(AirflowFailException, match=r"^There is no Airflow connection 'lifecycle_db'\. "):
        airflow_tasks.in_task(lambda: 1)


@pytest.mark.parametrize(
    ("provider", "more", "said"),
    [
        ("sendgrid", {"password": "SG.re al"}, "The SendGrid API key is empty or contains a space"),
        ("sendgrid", {"password": "SG.sandbox.not-a-real-key"}, "'lifecycle_sendgrid' holds a key of the sandbox"),
        ("twilio", {"login": "me"}, "The Twilio account SID is not AC"),
        ("twilio", {"password": "sandbox-not-a-real-token"}, "'lifecycle_twilio' holds a key of the sandbox"),
    ],
)
def test_a_connection_that_cannot_be_right_is_refused(
    provider: str, more: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lifecycle import airflow_tasks

    connection = f"AIRFLOW_CONN_LIFECYCLE_{provider.upper()}"
    monkeypatch.setenv(connection, json.dumps({**ACCOUNTS[provider], **more}))
    with pytest.raises(LifecycleError, match=said) as told:
        airflow_tasks.channel_for(STEPS[provider])
    assert "real" not in str(told.value)
    monkeypatch.setenv(connection, json.dumps(ACCOUNTS[provider]))
    assert airflow_tasks.channel_for(STEPS[provider])
