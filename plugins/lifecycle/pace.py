"""Pace: how many SMS a second a sending number begins, however many senders there are.

The turns are handed out by the database, a chunk's worth in one statement; within a chunk each sender paces itself. A
sender takes its turns before it claims, so that no lease runs while it waits for the first one. A sender that gets to
its turns late overlaps with the next one by a chunk at most; over time the rate holds. Turns of whoever sleeps, or gets
nothing for another reason, are given back.
"""

from __future__ import annotations

import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING

from lifecycle import database, outbox, settings
from lifecycle.channels import Receipt

if TYPE_CHECKING:
    from lifecycle.journey import Step
    from lifecycle.runs import RunContext

# Claiming and rendering a chunk takes about so long: it is done while the first turn comes near.
LEAD_SECONDS = 0.5


class Turns:
    """The turns of one chunk: how many `messages` may be claimed, and when each may be handed over.

    Threads share them. `stopped` is the receipt of everybody who was not handed over because the provider, asked for
    somebody before them, takes nothing at the moment.
    """

    def __init__(self, messages: int, first_start: float = 0.0, seconds_each: float = 0.0) -> None:
        self.messages = messages
        self.stopped: Receipt | None = None
        self._next_start = first_start
        self.seconds_each = seconds_each
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next message may be handed over; a turn that was missed is not made up for in a hurry."""
        if not self.seconds_each or self.stopped:
            return
        with self._lock:
            start = max(self._next_start, monotonic())
            self._next_start = start + self.seconds_each
        sleep(max(0.0, start - monotonic()))

    def heed(self, receipt: Receipt) -> None:
        """Stop when the provider takes nothing: rate limited, credentials refused, not reached."""
        if receipt.outcome == "retry":
            wait = receipt.retry_after_seconds
            self.stopped = Receipt("retry", detail=f"not handed over: {receipt.detail}", retry_after_seconds=wait)


def take_turns(context: RunContext, step: Step, *, shard: int, shards: int, most: int, within_seconds: float) -> Turns:
    """The turns for a sender's next chunk, after waiting until the first of them is near.

    At most as many as can be handed over `within_seconds` of it. Emails have no pace, nor has an SMS while
    `LIFECYCLE_SMS_PER_SECOND` is not set: then all `most` may go at once.
    """
    per_second = settings.sms_per_second() if step.message.channel == "sms" else None
    if per_second is None:
        return Turns(most)
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        taken = database.rows(
            connection,
            "engine/pace/take_turns.sql",
            sender=settings.sender_phone(),
            journey=context.journey.name,
            step=step.name,
            **outbox.ids_of_shard(shard, shards),
            most=max(1, min(most, int(per_second * within_seconds))),
            seconds_each=1 / per_second,
        )
    if not taken:
        return Turns(0)
    messages = taken[0].messages
    first_start = monotonic() + taken[0].ends_in_seconds - messages / per_second
    sleep(max(0.0, first_start - LEAD_SECONDS - monotonic()))
    return Turns(messages, first_start, 1 / per_second)


def give_back(turns: Turns, unused: int) -> None:
    """Let others have the turns in which nobody of a chunk is handed over: people asleep, skipped or taken by others."""
    if not turns.seconds_each or unused < 1:
        return
    with database.transaction() as connection:
        database.run(
            connection,
            "engine/pace/give_back.sql",
            sender=settings.sender_phone(),
            turns=unused,
            seconds_each=turns.seconds_each,
        )
