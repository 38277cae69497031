"""Emails that are not held: SendGrid's Email Logs say which arrived, and a list that lags delays and never doubles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lifecycle import mail_desk, official_specs
from tests.lifecycle.mail_desk import DEATHS, MailDesk
from tests.lifecycle.servers import running_sandbox
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import evidence
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.errors import TryAgainError

THREE = ("ana", "ben", "cleo")
ONCE = dict.fromkeys(THREE, 1)
SETTLE_SECONDS = 0.3
NEVER_LISTED = 1_000_000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Iterator[MailDesk]:
    """Three people whose email is not held; a doubt lasts a third of a second instead of a minute."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", "0")
    monkeypatch.setattr(evidence, "SETTLE_AFTER_SECONDS", SETTLE_SECONDS)
    (tmp_path / "project").mkdir()
    with running_sandbox(tmp_path / "sandbox.sqlite") as url:
        made = MailDesk(ProjectBuilder(tmp_path / "project"), shop, url)
        made.people(*THREE)
        yield made


def in_doubt(desk: MailDesk, fault: str) -> None:
    """One request without a clear answer."""
    desk.faults(fault, delay_ms=mail_desk.TOO_LATE_MS)
    assert desk.send() == {"uncertain": 3}


def a_later_email_is_accepted(desk: MailDesk, name: str = "dora") -> None:
    """A witness: once the doubt is old enough, somebody else's email is taken."""
    time.sleep(SETTLE_SECONDS + 0.1)
    desk.people(name)
    assert desk.send()["accepted"] == 1


def states_of_the_three(desk: MailDesk) -> set[str]:
    return {state for name, state in desk.states().items() if name in THREE}


@pytest.mark.parametrize("fault", ["reset_after_accept", "503_accepted", "late_answer"])
def test_what_the_logs_show_was_accepted(desk: MailDesk, fault: str) -> None:
    in_doubt(desk, fault)
    assert desk.send() == {}
    assert states_of_the_three(desk) == {"accepted"}
    assert all(provider_id for (provider_id,) in desk.all("provider_id"))
    assert desk.copies() == ONCE


@pytest.mark.parametrize("fault", ["reset_before_accept", "503_not_accepted"])
def test_what_the_logs_do_not_show_while_they_show_a_later_email_is_sent_again(desk: MailDesk, fault: str) -> None:
    in_doubt(desk, fault)
    a_later_email_is_accepted(desk)
    assert desk.send() == {"accepted": 3}
    assert desk.copies() == ONCE | {"dora": 1}


def test_without_a_later_email_nothing_is_sent_again(desk: MailDesk) -> None:
    in_doubt(desk, "reset_before_accept")
    time.sleep(SETTLE_SECONDS + 0.1)
    assert desk.send() == {}
    assert states_of_the_three(desk) == {"uncertain"}


@pytest.mark.parametrize("fault", ["reset_before_accept", "reset_after_accept"])
def test_logs_that_lag_prove_nothing_until_they_have_caught_up(desk: MailDesk, fault: str) -> None:
    desk.behaviour(sendgrid_index_lag_seconds=NEVER_LISTED)
    in_doubt(desk, fault)
    a_later_email_is_accepted(desk)
    assert desk.send() == {}
    assert states_of_the_three(desk) == {"uncertain"}
    desk.behaviour()
    desk.send()
    assert states_of_the_three(desk) == {"accepted"}
    assert desk.copies() == ONCE | {"dora": 1}


@pytest.mark.parametrize(("die_at", "fault"), DEATHS)
def test_a_sender_may_die_anywhere_and_everybody_gets_one(desk: MailDesk, die_at: str, fault: str | None) -> None:
    if fault:
        desk.faults(fault, delay_ms=mail_desk.TOO_LATE_MS)
    desk.send_and_die(die_at)
    assert states_of_the_three(desk) == {"uncertain" if die_at == "doubt_noted" else "sending"}
    if fault == "late_accept":
        # Three minutes are more than a request can be under way.
        wait_until(lambda: sum(desk.copies().values()) == 3)
    desk.let_time_pass(minutes=3)
    desk.send()
    a_later_email_is_accepted(desk)
    desk.send()
    assert states_of_the_three(desk) == {"accepted"}
    assert desk.copies() == ONCE | {"dora": 1}


def test_logs_that_ask_to_wait_leave_everything_as_it_was(desk: MailDesk) -> None:
    in_doubt(desk, "reset_after_accept")
    desk.faults("429", calls="other")
    with pytest.raises(TryAgainError, match="SendGrid did not say which emails it accepted"):
        desk.send()
    assert states_of_the_three(desk) == {"uncertain"}
    desk.send()
    assert states_of_the_three(desk) == {"accepted"}


def test_a_key_that_may_not_read_the_logs_still_sends(desk: MailDesk) -> None:
    in_doubt(desk, "reset_before_accept")
    desk.people("dora")
    desk.faults("401", calls="other", for_next=99)
    assert desk.send() == {"accepted": 1}
    assert states_of_the_three(desk) == {"uncertain"}


@pytest.mark.parametrize("minutes", ["0", "60"])
def test_sendgrids_own_description_takes_what_a_run_sends_and_asks(
    desk: MailDesk, monkeypatch: pytest.MonkeyPatch, minutes: str
) -> None:
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", minutes)
    mails: list[dict[str, Any]] = []
    searches: list[dict[str, Any]] = []

    class Captured(SendGridEmail):
        def _call(self, request: Callable[[Any], Any]) -> Any:
            return super()._call(lambda client: request(Watched(client)))

    class Watched:
        """The SDK's client, which also notes what it is asked to post."""

        def __init__(self, client: Any, path: str = "") -> None:
            self._client, self._path = client, path

        def __getattr__(self, name: str) -> Any:
            if name in ("get", "delete", "_"):
                return getattr(self._client, name)
            if name != "post":
                return Watched(getattr(self._client, name), f"{self._path}/{name}")

            def post(request_body: Any = None) -> Any:
                {"/mail/send": mails, "/logs": searches}.get(self._path, []).append(
                    json.loads(json.dumps(request_body))
                )
                return self._client.post(request_body=request_body)

            return post

    desk.faults("reset_after_accept")
    desk.send(Captured)
    desk.send(Captured)
    assert desk.states() == dict.fromkeys(THREE, "accepted")
    assert [("batch_id" in mail, "send_at" in mail) for mail in mails] == (
        [(True, True)] * 2 if minutes == "60" else [(False, False)]
    )
    assert bool(searches) == (minutes == "0")
    if official_specs.ARE_HERE:
        assert all(official_specs.sendgrid_takes(mail) for mail in mails)
        assert all(official_specs.email_logs_take(search) for search in searches)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
