"""Pace: a sending number keeps to its rate, whatever the number of senders, and nobody's lease ends while they wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest
from tests.lifecycle.test_delivery import ACCEPTED, Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk
from tests.lifecycle.test_quiet_hours import around
from tests.sandbox_client import SandboxClient

from lifecycle import delivery, outbox, pace, senders, settings
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.errors import LifecycleError, TryAgainError


class Timed:
    """A provider that accepts, and remembers when it was asked."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._lock = threading.Lock()

    def send(self, _: OutgoingSms) -> Receipt:
        with self._lock:
            self.times.append(monotonic())
        return ACCEPTED

    def most_within(self, seconds: float) -> int:
        """The largest number of messages that began in any span of that length."""
        return max(sum(start <= time < start + seconds for time in self.times) for start in self.times)


def crowd(desk: Desk, count: int) -> None:
    """So many more customers, planned with the first three."""
    for number in range(count - 3):
        desk.shop.customer(f"more-{number}", phone=f"+33639991{number:03d}")
    desk.plan()


def test_a_sender_keeps_to_the_rate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "20")
    monkeypatch.setattr(delivery, "CHUNK", 10)
    crowd(desk, 50)
    provider: Any = Timed()
    assert desk.send(provider) == {"accepted": 50}
    # Twenty a second, and one for each thread that was woken up late.
    assert provider.most_within(1) <= 24


def test_senders_share_the_turns_of_a_number(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "20")
    monkeypatch.setattr(delivery, "CHUNK", 10)
    crowd(desk, 60)
    ((started,),) = desk.all("select clock_timestamp()")
    provider: Any = Timed()
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda shard: desk.send(provider, shard=shard, shards=3), range(3)))
    assert sum(count["accepted"] for count in counts) == len(provider.times) == 60
    # No turn was given away twice: sixty of them are three seconds.
    ((until,),) = desk.all("select next_at from lifecycle.sender_turns")
    assert (until - started).total_seconds() >= 60 / 20


def test_a_chunk_of_a_slow_number_fits_into_its_lease(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "2")
    monkeypatch.setattr(outbox, "LEASE_SECONDS", 5)
    monkeypatch.setattr(delivery, "SLOWEST_ANSWER_SECONDS", 1)
    crowd(desk, 10)
    assert desk.send(Timed()) == {"accepted": 10}
    # Two seconds' worth a claim: four messages, and every one within its lease.
    assert desk.all("select count(*), max(attempt_count) from lifecycle.messages") == [(10, 1)]
    assert desk.all("select count(distinct ended_at) from lifecycle.attempts") == [(3,)]


def test_whose_turn_comes_after_the_lease_goes_back_to_the_queue(desk: Desk) -> None:
    provider: Any = Timed()
    turns = pace.Turns(1, monotonic() + 0.2, 1.0)
    receipts = delivery._send_one(provider, OutgoingSms("id", "+33639980001", "Hello"), monotonic() + 0.1, turns)
    assert (receipts[0].outcome, provider.times) == ("retry", [])


def test_a_number_that_was_idle_has_saved_nothing_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "10")
    crowd(desk, 8)
    desk.execute(
        "insert into lifecycle.sender_turns (sender, next_at) values ('+15005550006', now() - interval '1 hour')"
    )
    provider: Any = Timed()
    desk.send(provider)
    assert provider.times[-1] - provider.times[0] >= 0.65


def test_a_sender_with_nothing_to_send_takes_no_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "0.01")
    assert desk.send(ScriptedProvider()) == {}
    assert desk.all("select count(*) from lifecycle.sender_turns") == [(0,)]


def test_people_asleep_use_up_no_turns(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do people who get nothing for another reason: those who are awake are sent to as if they were alone."""
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "2")
    monkeypatch.setenv("LIFECYCLE_QUIET_HOURS", around(desk.shop, -2, 2, "Asia/Tokyo"))
    monkeypatch.setattr(delivery, "CHUNK", 20)
    crowd(desk, 63)
    desk.execute("update imported.customers set timezone = 'Asia/Tokyo' where customer_id like 'more-%'")
    ((started,),) = desk.all("select clock_timestamp()")
    provider: Any = Timed()
    assert desk.send(provider) == {"accepted": 3, "deferred": 60}
    ((until,),) = desk.all("select next_at from lifecycle.sender_turns")
    # Sixty turns would be thirty seconds.
    assert (until - started).total_seconds() < 20
    assert provider.times[-1] - provider.times[0] < 20


def test_nobody_else_is_handed_over_once_the_provider_takes_nothing(desk: Desk) -> None:
    crowd(desk, 40)
    provider = ScriptedProvider(Receipt("retry", http_status=429, detail="rate limited", retry_after_seconds=600))
    with pytest.raises(TryAgainError, match="40 messages"):
        desk.send(provider)
    # One for each thread that was already under way.
    assert len(provider.received) <= 4
    # All of them wait as long as the provider asked.
    assert desk.all("select count(*) from lifecycle.messages where retry_after > now() + interval '9 minutes'") == [
        (40,)
    ]


def test_a_storm_of_rate_limits_loses_nobody_and_the_rate_holds(
    desk: Desk, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", "50")
    crowd(desk, 60)
    channel: Any = senders.sandbox_channel(desk.step)
    timed = Timed()

    def watched(message: OutgoingSms) -> Receipt:
        timed.send(message)
        return channel.send(message)

    sandbox.fail("429", rate=0.5, retry_after=1)
    calm_at, tries = monotonic() + 6, 0
    while True:
        tries += 1
        try:
            desk.send(ScriptedProvider(watched))
            break
        except TryAgainError:
            # What Airflow does: the task is run again, and again too early once in a while.
            threading.Event().wait(0.3)
        if monotonic() > calm_at:
            sandbox.behave()
    assert tries > 3
    received = [message["message_id"] for message in sandbox.messages()]
    assert len(received) == len(set(received)) == 60
    assert {state for state, _ in desk.states().values()} == {"accepted"}
    assert timed.most_within(1) <= 50 + 5
    early = desk.all(
        "select count(*) from lifecycle.attempts as later inner join lifecycle.attempts as refused "
        "on refused.message_id = later.message_id and refused.http_status = 429 "
        "and later.started_at > refused.started_at and later.started_at < refused.ended_at + interval '1 second'"
    )
    assert early == [(0,)]


@pytest.mark.parametrize("text", ["fast", "-1", "0", "nan", "1e3", "1.2.3", "²"])
def test_a_rate_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LIFECYCLE_SMS_PER_SECOND", text)
    with pytest.raises(LifecycleError, match=r"LIFECYCLE_SMS_PER_SECOND is .* Give a number such as 1"):
        settings.sms_per_second()
