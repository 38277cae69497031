"""The breaker: who refuses us, or stops making sense, gets nothing more until a person has looked; nobody is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.lifecycle.test_delivery import ACCEPTED, DAY, Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk
from tests.lifecycle.test_rendering import email_journey
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import breaker, controls, database, delivery, journeys, runs, senders, stages
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.errors import LifecycleError, TryAgainError

UNCERTAIN = Receipt("uncertain", http_status=503, detail="provider error")
CLEAR = Receipt("rejected", http_status=400)
NOT_REACHED = Receipt("retry", detail="provider not reached")
BUSY = Receipt("retry", http_status=429, detail="rate limited")


def watch(channel: str, *parcels: list[Receipt]) -> None:
    """What a sender does with the answers of a chunk."""
    with database.transaction() as connection:
        breaker.watch(connection, channel, list(parcels))


def ambiguous(count: int) -> list[list[Receipt]]:
    """Ambiguous answers to as many requests."""
    return [[UNCERTAIN] for _ in range(count)]


def test_refused_credentials_pause_the_channel_and_burn_nobody(desk: Desk, sandbox: SandboxClient) -> None:
    desk.plan()
    channel = senders.sandbox_channel(desk.step)
    sandbox.fail("401")
    with pytest.raises(LifecycleError) as failed:
        desk.send(channel)
    # A try that cannot help is not repeated by Airflow.
    assert not isinstance(failed.value, TryAgainError)
    said = str(failed.value)
    assert said.startswith("sms is paused since 2")
    assert "the provider refused our credentials (HTTP 401); 3 messages of hello/greet wait" in said
    assert said.endswith("then: lifecycle resume sms.")
    assert "\n" not in said
    assert set(desk.states().values()) == {("queued", None)}
    (paused,) = controls.pauses()
    assert (paused.scope, paused.changed_by) == ("sms", "breaker")
    sandbox.clear()
    controls.set_state("sms", "open", "")
    assert desk.send(channel) == {"accepted": 3}
    assert len(sandbox.messages()) == 3


def test_a_key_that_is_withdrawn_in_the_middle_of_a_run_loses_nobody(
    desk: Desk, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    monkeypatch.setattr(delivery, "CHUNK", 10)
    channel: Any = senders.sandbox_channel(desk.step)

    def withdrawn_later(message: OutgoingSms) -> Receipt:
        if len(provider.received) == 15:
            sandbox.fail("401")
        return channel.send(message)

    provider = ScriptedProvider(withdrawn_later)
    with pytest.raises(LifecycleError, match="lifecycle resume sms"):
        desk.send(provider)
    states = [state for state, _ in desk.states().values()]
    assert set(states) == {"accepted", "queued"}
    assert states.count("accepted") == len(sandbox.messages())
    assert len(provider.received) <= 20
    sandbox.clear()
    before = states.count("accepted")
    controls.set_state("sms", "open", "")
    assert desk.send(channel) == {"accepted": 33 - before}
    assert len(sandbox.messages()) == 33 - before


def test_a_send_that_meets_a_tripped_breaker_says_so_and_one_without_messages_is_done(desk: Desk) -> None:
    watch("sms", [Receipt("retry", http_status=403)])
    assert desk.send(ScriptedProvider()) == {}
    desk.plan()
    with pytest.raises(LifecycleError, match="sms is paused since"):
        desk.send(ScriptedProvider())


def test_refused_credentials_pause_emails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop, sandbox: SandboxClient
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    email_journey(ProjectBuilder(tmp_path))
    for name in ("ana", "ben"):
        shop.customer(name, first_name=name.title())
    sandbox.fail("401")
    declared = journeys.load("letter")
    context = runs.for_day(declared.journey, DAY, declared.zone)
    with pytest.raises(LifecycleError, match=r"email is paused since .* 2 messages of letter/news wait"):
        stages.run_all(context, senders.sandbox_channel)
    assert controls.paused() == ["email"]
    sandbox.clear()
    controls.set_state("email", "open", "")
    assert stages.run_all(context, senders.sandbox_channel)["steps"] == {"news": {"accepted": 2}}
    assert len(sandbox.messages()) == 2


def test_twenty_ambiguous_answers_in_a_row_pause_the_channel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    monkeypatch.setattr(delivery, "CHUNK", 5)
    provider = ScriptedProvider(lambda _: Receipt("uncertain", detail="no answer"))
    with pytest.raises(LifecycleError, match="20 answers in a row left open whether the message was sent; 23 messages"):
        desk.send(provider)
    assert len(provider.received) == 20
    assert [control.scope for control in controls.pauses()] == ["sms"]
    # After a resume it counts from nothing again.
    controls.set_state("sms", "open", "")
    provider.answer = lambda _: ACCEPTED
    assert desk.send(provider) == {"accepted": 23}


@pytest.mark.parametrize(
    ("answers", "trips"),
    [
        ([*ambiguous(20)], True),
        ([*ambiguous(19)], False),
        # A clear answer, whatever it says, shows a provider that knows what it does.
        ([*ambiguous(19), [ACCEPTED], *ambiguous(19)], False),
        ([*ambiguous(19), [CLEAR], *ambiguous(1)], False),
        ([*ambiguous(10), [BUSY], *ambiguous(19)], False),
        ([[ACCEPTED], *ambiguous(20), [ACCEPTED]], True),
        # What was never handed over is no answer.
        ([*ambiguous(10), [NOT_REACHED], *ambiguous(10)], True),
        # 500 people in one request are one answer.
        ([[UNCERTAIN] * 500], False),
        ([[UNCERTAIN] * 500 for _ in range(20)], True),
        # The final refusal of one message is no refusal of ours, whatever its status.
        ([[Receipt("rejected", http_status=403)]], False),
        ([[BUSY], [NOT_REACHED]], False),
    ],
)
def test_what_counts_as_in_a_row(database_url: str, answers: list[Any], trips: bool) -> None:
    for chunk in (1, 7, 100):
        for start in range(0, len(answers), chunk):
            watch("email", *answers[start : start + chunk])
        assert controls.paused() == (["email"] if trips else []), f"in chunks of {chunk}"
        controls.set_state("email", "open", "")
        watch("email", [ACCEPTED])


def test_senders_count_together_and_each_channel_for_itself(empty_database: str) -> None:
    watch("sms", *ambiguous(10))
    watch("email", *ambiguous(19))
    assert controls.paused() == []
    watch("sms", *ambiguous(10))
    assert controls.paused() == ["sms"]


def test_the_word_of_a_person_who_paused_before_stays(empty_database: str) -> None:
    controls.set_state("sms", "paused", "a wrong price")
    watch("sms", [Receipt("retry", http_status=401)])
    (paused,) = controls.pauses()
    assert paused.reason == "a wrong price"
    assert paused.changed_by != "breaker"
