"""Held emails: whatever breaks, they are called back and sent once, and no list has to be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lifecycle import mail_desk
from tests.lifecycle.mail_desk import DEATHS, MailDesk
from tests.lifecycle.servers import running_sandbox
from tests.lifecycle.test_cli import Run
from tests.lifecycle.test_cli import run as run
from tests.lifecycle.test_quiet_hours import around
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import controls, evidence, holds, settings
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.errors import LifecycleError, TryAgainError

EVERYBODY = {"ana": 1, "ben": 1, "cleo": 1}
AMBIGUOUS = ("reset_before_accept", "reset_after_accept", "late_answer", "503_not_accepted", "503_accepted")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Iterator[MailDesk]:
    """Three people whose email is held for an hour; a doubt lasts half a second instead of a minute."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", "60")
    monkeypatch.setattr(evidence, "SETTLE_AFTER_SECONDS", 0.5)
    (tmp_path / "project").mkdir()
    with running_sandbox(tmp_path / "sandbox.sqlite") as url:
        # Nothing is ever found in the list, so that nothing can rest on it.
        made = MailDesk(ProjectBuilder(tmp_path / "project"), shop, url)
        made.behaviour(sendgrid_index_lag_seconds=1_000_000)
        made.people("ana", "ben", "cleo")
        yield made


def test_a_held_email_is_accepted_now_and_leaves_later(desk: MailDesk) -> None:
    assert desk.send() == {"accepted": 3}
    assert (desk.at_provider(), desk.copies()) == ({"scheduled": 3}, {})
    assert set(desk.states().values()) == {"accepted"}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


def test_the_name_of_a_hold_is_known_before_the_first_byte(desk: MailDesk) -> None:
    seen: list[Any] = []

    class Looking(SendGridEmail):
        def post(self, body: dict[str, Any]) -> Any:
            held = "holds natural join lifecycle.held_attempts natural join lifecycle.messages"
            seen.extend(desk.all("batch_id, extract(epoch from send_at)::bigint, send_state", held))
            seen.append((body["batch_id"], body["send_at"], "sending"))
            return super().post(body)

    desk.send(Looking)
    assert len(seen) == 4
    assert len(set(seen)) == 1


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_an_unclear_answer_is_called_back_and_sent_once(desk: MailDesk, fault: str) -> None:
    desk.faults(fault, delay_ms=mail_desk.TOO_LATE_MS)
    assert desk.send() == {"uncertain": 3, "accepted": 3}
    assert set(desk.states().values()) == {"accepted"}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY
    assert len(desk.all("batch_id", "holds")) == 2


@pytest.mark.parametrize(("die_at", "fault"), DEATHS)
def test_a_sender_may_die_anywhere_and_everybody_gets_one(desk: MailDesk, die_at: str, fault: str | None) -> None:
    if fault:
        desk.faults(fault, delay_ms=mail_desk.TOO_LATE_MS)
    desk.send_and_die(die_at)
    assert set(desk.states().values()) == {"uncertain" if die_at == "doubt_noted" else "sending"}
    desk.let_time_pass(minutes=3)
    desk.send()
    assert set(desk.states().values()) == {"accepted"}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


def test_whoever_was_taken_beside_a_doubt_is_called_back_with_it_and_sent_once(desk: MailDesk) -> None:
    desk.shop.connection.execute(b"update imported.customers set email = 'nobody' where customer_id = 'ben'")
    calls: list[int] = []

    class HalfAnswered(SendGridEmail):
        """Refuses the whole; takes a half and says so; takes the other half, and its answer is lost."""

        def post(self, body: dict[str, Any]) -> Any:
            calls.append(len(body["personalizations"]))
            if len(calls) == 3:
                desk.faults("reset_after_accept")
            return super().post(body)

    desk.send(HalfAnswered)
    desk.let_hours_pass_at_the_provider()
    assert calls[:3] == [3, 1, 2]
    assert {name: state for name, state in desk.states().items() if name != "ben"} == {
        "ana": "accepted",
        "cleo": "accepted",
    }
    assert desk.copies() == {"ana": 1, "cleo": 1}


def test_a_late_request_that_sendgrid_would_still_send_is_waited_for(desk: MailDesk) -> None:
    """A request that is under way when its sender gives up lands in the hold before that is cancelled."""
    desk.behaviour(sendgrid_index_lag_seconds=1_000_000, after_cancel="send")
    desk.faults("late_accept", delay_ms=mail_desk.TIMEOUT_SECONDS * 1000 + 200)
    desk.send()
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


@pytest.mark.parametrize("fault", ["reset_before_accept", "reset_after_accept", "503_not_accepted", "503_accepted"])
def test_a_cancel_without_a_clear_answer_is_asked_again(desk: MailDesk, fault: str) -> None:
    desk.faults("reset_after_accept")
    desk.call(
        "PUT",
        "faults",
        [{"fault": "reset_after_accept", "for_next": 1}, {"fault": fault, "calls": "other", "rate": 0.7, "seed": 3}],
    )
    for _ in range(20):
        try:
            desk.send()
        except TryAgainError:
            continue
        break
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


def test_a_provider_that_cancels_nothing_leaves_the_doubt_and_the_task_open(desk: MailDesk) -> None:
    class Deaf(SendGridEmail):
        def cancel_batch(self, batch_id: str) -> bool | None:
            return None

    desk.faults("reset_after_accept")
    with pytest.raises(TryAgainError, match="1 holds of letter/news are doubtful"):
        desk.send(Deaf)
    assert set(desk.states().values()) == {"uncertain"}
    assert desk.send() == {"accepted": 3}


def test_too_late_to_cancel_nothing_is_sent_again(desk: MailDesk) -> None:
    desk.faults("reset_after_accept")
    desk.send_and_die("doubt_noted")
    desk.let_time_pass(minutes=50)
    assert desk.send() == {}
    assert set(desk.states().values()) == {"uncertain"}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


def test_what_was_too_late_to_cancel_is_looked_up_when_its_time_is_over(desk: MailDesk) -> None:
    desk.faults("reset_after_accept")
    desk.send_and_die("doubt_noted")
    desk.let_time_pass(minutes=50)
    desk.behaviour()
    desk.send()
    # It may be in the list already; but not before its time is it said to have left.
    assert set(desk.states().values()) == {"uncertain"}
    desk.shop.connection.execute(b"update lifecycle.holds set send_at = now() - interval '1 minute'")
    desk.shop.connection.execute(
        b"update lifecycle.attempts set started_at = now() - interval '1 minute', ended_at = now()"
    )
    desk.send()
    assert set(desk.states().values()) == {"accepted"}


def test_a_cancelled_hold_makes_room_on_sendgrids_list_when_its_time_is_long_over(desk: MailDesk) -> None:
    desk.faults("reset_after_accept")
    desk.send()
    stopped = desk.all("count(*)", "holds where cancelled_at is not null")
    assert stopped == [(1,)]
    desk.let_hours_pass_at_the_provider()
    desk.send()
    assert desk.all("count(*)", "holds where forgotten_at is not null") == [(0,)]
    desk.shop.connection.execute(b"update lifecycle.holds set send_at = send_at - interval '3 hours'")
    desk.send()
    assert desk.all("count(*)", "holds where forgotten_at is not null") == [(1,)]
    assert desk.copies() == EVERYBODY


# --- the kill switch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["all", "email"])
def test_a_pause_calls_back_what_is_held_and_resume_sends_it_once(
    desk: MailDesk, run: Run, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", desk.url)
    desk.send()
    told = run("pause", scope, "--reason", "wrong words")
    assert told.code == 0
    assert "3 held emails were called back and are queued" in told.out
    assert set(desk.states().values()) == {"queued"}
    assert desk.send() == {}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == {}
    assert run("resume", "all").code == 0
    assert desk.send() == {"accepted": 3}
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == EVERYBODY


def test_a_pause_waits_for_a_request_that_is_under_way(desk: MailDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.faults("late_accept", delay_ms=mail_desk.TOO_LATE_MS)
    desk.send_and_die("request_under_way")
    assert set(desk.states().values()) == {"sending"}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        desk.let_time_pass(minutes=2)

    monkeypatch.setattr(holds.time, "sleep", sleep)
    controls.set_state("email", "paused", "wrong words")
    assert holds.call_back("email", mail_desk.channel(desk.url)) == 3
    # Until the lease of its sender is over, and then for what was written to the socket.
    assert len(slept) == 1
    assert 40 < slept[0] < 62
    desk.let_hours_pass_at_the_provider()
    assert desk.copies() == {}


def test_a_pause_of_something_else_calls_nothing_back(desk: MailDesk, run: Run) -> None:
    desk.send()
    for scope in ("sms", "reactivation"):
        assert holds.held(scope) == []
    assert run("pause", "sms").out == "sms is paused; messages stay queued until: lifecycle resume sms\n"
    assert [row.messages for row in holds.held("letter")] == [3]


def test_what_a_pause_cannot_call_back_is_said_with_its_time(
    desk: MailDesk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", desk.url)
    desk.send()
    desk.let_time_pass(minutes=50)
    told = run("pause", "email")
    assert told.code == 2
    assert told.out.startswith("email is paused;")
    leaves = desk.all("to_char(send_at, 'YYYY-MM-DD HH24:MI')", "holds")[0][0]
    assert f"error: 3 held emails leave from {leaves} UTC on: SendGrid did not cancel them, or it was too" in told.err
    assert "docs/runbooks/stop-everything.md" in told.err
    assert controls.paused() == ["email"]
    # SendGrid does not answer: the pause holds all the same.
    desk.let_time_pass(minutes=-50)
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", "http://127.0.0.1:9")
    assert "error: 3 held emails leave from" in run("pause", "all").err
    assert set(desk.states().values()) == {"uncertain"}


def test_without_the_setting_nothing_is_held(desk: MailDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", "0")
    assert desk.send() == {"accepted": 3}
    assert desk.copies() == EVERYBODY
    assert desk.all("batch_id", "holds") == []


def test_an_email_that_would_arrive_at_night_waits_until_it_arrives_in_the_morning(
    desk: MailDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(desk.shop, 0.5, 4, "Europe/Paris"))
    assert desk.send() == {"deferred": 3}
    soon = desk.all("send_after - now() between interval '178 minutes' and interval '181 minutes'")
    assert soon == [(True,)] * 3
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(desk.shop, -3, 0.5, "Europe/Paris"))
    desk.shop.connection.execute("update lifecycle.messages set send_after = now()")
    assert desk.send() == {"accepted": 3}


def test_transactional_emails_are_never_held(desk: MailDesk) -> None:
    about_an_order = replace(mail_desk.journey(), kind="transactional")
    assert holds.name_for(about_an_order, desk.step, mail_desk.channel(desk.url)) == ""
    assert holds.name_for(mail_desk.journey(), desk.step, mail_desk.channel(desk.url)) != ""


def test_no_name_means_nobody_is_claimed(desk: MailDesk) -> None:
    desk.faults("401", calls="other", for_next=9)
    with pytest.raises(TryAgainError, match="SendGrid gave no batch id: credentials refused"):
        desk.send()
    assert set(desk.states().values()) == {"queued"}


def test_an_empty_queue_needs_no_name(desk: MailDesk) -> None:
    desk.send()
    desk.faults("401", calls="other", for_next=9)
    assert desk.send() == {}


@pytest.mark.parametrize(("given", "minutes"), [("", 0), ("0", 0), ("15", 15), ("60", 60), ("1440", 1440)])
def test_a_hold_is_off_or_long_enough(monkeypatch: pytest.MonkeyPatch, given: str, minutes: int) -> None:
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", given)
    assert settings.email_hold_minutes() == minutes


@pytest.mark.parametrize("given", ["14", "1", "1441", "an hour", "-5"])
def test_a_hold_that_is_too_short_to_call_back_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("LIFECYCLE_EMAIL_HOLD_MINUTES", given)
    with pytest.raises(LifecycleError, match="LIFECYCLE_EMAIL_HOLD_MINUTES is"):
        settings.email_hold_minutes()
