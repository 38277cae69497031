"""Holds: marketing emails that SendGrid keeps back for a while, so that they can be called back (reliability §1.4).

The name of a hold is known before the first byte leaves. When it is unclear whether emails arrived, the hold is
cancelled: a cancellation that SendGrid confirms early enough proves that nothing of it is ever sent, so all of it is
queued again and leaves in a new hold. Nobody has to be found in a list that lags behind.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lifecycle import database, evidence, outbox, settings
from lifecycle.channels import Hold
from lifecycle.errors import LifecycleError, TryAgainError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.journey import Journey, Step
    from lifecycle.runs import RunContext

log = logging.getLogger(__name__)

# SendGrid promises that a cancellation ten minutes before the time is in time; the eleventh is for clocks that differ.
NOTICE_SECONDS = 660.0
# A cancelled hold is on SendGrid's list of ten until it is taken off; taken off before its time, it would go out.
FORGET_AFTER_SECONDS = 3600.0
MOST_FORGOTTEN_AT_ONCE = 20
# How often a task waits for what became doubtful and sends it again, before it leaves that to its next try.
ROUNDS = 3


@runtime_checkable
class HoldingChannel(Protocol):
    """A channel whose provider can keep messages back and call them back."""

    def create_batch_id(self) -> str:
        """A name to hold and cancel emails by.

        Raises:
            TryAgainError: the provider gave none; nothing was sent.
        """
        ...

    def cancel_batch(self, batch_id: str) -> bool | None:
        """Stop what is held under a name, for good: whether it is stopped, or None when the provider does not say."""
        ...

    def forget_cancelled(self, batch_id: str) -> bool:
        """Take a stopped name off the provider's list, long after its time."""
        ...


def name_for(journey: Journey, step: Step, channel: Any) -> str:
    """A new name to hold a claim under; empty where nothing is held: a hold is for marketing emails.

    Raises:
        TryAgainError: the provider gave none; nothing was claimed.
    """
    is_held = step.message.channel == "email" and journey.kind == "marketing" and settings.email_hold_minutes()
    return channel.create_batch_id() if is_held and isinstance(channel, HoldingChannel) else ""


def keep(connection: Connection, journey: Journey, step: Step, batch_id: str, claimed: list[Row[Any]]) -> Hold | None:
    """Note under which name claimed messages are held; in the claim's transaction, so before any byte leaves."""
    sending = [row for row in claimed if row.send_state == "sending"]
    if not batch_id or not sending:
        return None
    (opened,) = database.rows(
        connection,
        "engine/holds/open.sql",
        batch_id=batch_id,
        journey=journey.name,
        step=step.name,
        minutes=settings.email_hold_minutes(),
        attempt_ids=[row.attempt_id for row in sending],
        message_ids=[row.message_id for row in sending],
    )
    return Hold(batch_id, opened.send_at)


def settle(channel: HoldingChannel) -> int:
    """Call back whatever is doubtful, of all journeys, as far as it is time. Returns how many messages wait again."""
    _forget_what_is_over(channel)
    with database.transaction() as connection:
        outbox.expire_leases(connection)
    return sum(_call_back(channel, row.batch_id) or 0 for row in _doubtful() if not row.wait_seconds)


def send(
    context: RunContext, step: Step, channel: HoldingChannel, send_queue: Callable[[], Counter[str]]
) -> Counter[str]:
    """Send what is queued of a step, call back what became doubtful on the way, and send that again.

    Raises:
        TryAgainError: what can still be called back was not; the task is not done.
        LifecycleError: as sending does; what became doubtful was called back first.
    """
    try:
        counts = send_queue()
    except LifecycleError:
        wait_and_settle(context, step, channel)
        raise
    for _ in range(ROUNDS):
        if not wait_and_settle(context, step, channel):
            return counts
        counts += send_queue()
    doubtful = _doubtful(context.journey, step)
    if doubtful:
        raise TryAgainError(
            f"{len(doubtful)} holds of {context.journey.name}/{step.name} are doubtful: SendGrid did not cancel them",
            hint="Nobody is sent twice: run the task again while they can be called back",
        )
    return counts


def wait_and_settle(context: RunContext, step: Step, channel: HoldingChannel) -> bool:
    """Wait until the first doubtful hold of a step can be called back, and do it. Returns whether there was any."""
    doubtful = _doubtful(context.journey, step)
    if not doubtful:
        return False
    wait = min(row.wait_seconds for row in doubtful)
    log.info("%s holds are doubtful: they are called back in %.0f s", len(doubtful), wait)
    time.sleep(wait + 0.05)
    settle(channel)
    return True


def held(scope: str) -> list[Row[Any]]:
    """What SendGrid keeps back of a scope of the kill switch, the most urgent first.

    Rows: batch_id, send_at, messages, wait_seconds (until it can be called back), is_in_time (whether it still can).
    """
    if scope == "sms":
        return []
    with database.transaction() as connection:
        return database.rows(
            connection,
            "engine/holds/held.sql",
            journey=None if scope in ("all", "email") else scope,
            lease_seconds=outbox.LEASE_SECONDS,
            settle_after_seconds=evidence.SETTLE_AFTER_SECONDS,
            notice_seconds=NOTICE_SECONDS,
        )


def call_back(scope: str, channel: HoldingChannel) -> int:
    """Call back what is held of a scope that was paused; waits for requests that are under way.

    Returns how many messages are queued again. Each hold is asked for once; what SendGrid does not cancel stays `held`.
    """
    again, asked = 0, set[str]()
    _forget_what_is_over(channel)
    while True:
        with database.transaction() as connection:
            outbox.expire_leases(connection)
        found = [row for row in held(scope) if row.is_in_time and row.batch_id not in asked]
        ready = [row.batch_id for row in found if not row.wait_seconds]
        if not found:
            return again
        if not ready:
            time.sleep(min(row.wait_seconds for row in found) + 0.05)
        for batch_id in ready:
            asked.add(batch_id)
            again += _call_back(channel, batch_id) or 0


def _doubtful(journey: Journey | None = None, step: Step | None = None) -> list[Row[Any]]:
    with database.transaction() as connection:
        return database.rows(
            connection,
            "engine/holds/doubtful.sql",
            journey=journey.name if journey else None,
            step=step.name if step else None,
            lease_seconds=outbox.LEASE_SECONDS,
            settle_after_seconds=evidence.SETTLE_AFTER_SECONDS,
            notice_seconds=NOTICE_SECONDS,
        )


def _call_back(channel: HoldingChannel, batch_id: str) -> int | None:
    """Cancel one hold and queue all of it again. Returns how many messages, or None when it was not cancelled."""
    with database.transaction() as connection:
        database.run(connection, "engine/holds/doubt.sql", batch_id=batch_id)
    is_cancelled = channel.cancel_batch(batch_id)
    if is_cancelled is None:
        return None
    with database.transaction() as connection:
        if not is_cancelled:
            database.run(connection, "engine/holds/restore.sql", batch_id=batch_id)
            return None
        return database.run(connection, "engine/holds/cancelled.sql", batch_id=batch_id, notice_seconds=NOTICE_SECONDS)


def _forget_what_is_over(channel: HoldingChannel) -> None:
    """SendGrid notes few cancellations at a time: those that have done their work make room."""
    with database.transaction() as connection:
        over = database.rows(
            connection,
            "engine/holds/over.sql",
            keep_seconds=FORGET_AFTER_SECONDS,
            most=MOST_FORGOTTEN_AT_ONCE,
        )
    for row in over:
        if channel.forget_cancelled(row.batch_id):
            with database.transaction() as connection:
                database.run(connection, "engine/holds/forgotten.sql", batch_id=row.batch_id)
