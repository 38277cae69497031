"""Delivery: claimed messages are rendered and handed to a channel, and every answer is recorded.

The claim is committed before any byte leaves. A crash at any point leaves a message that is queued (never tried),
settled (answered) or `sending` (unknown): the last is never sent again blindly (architecture §6).
"""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any

from lifecycle import database, links, outbox, rendering, vouchers
from lifecycle.channels import OutgoingEmail, OutgoingSms, Receipt
from lifecycle.errors import LifecycleError, TryAgainError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Step
    from lifecycle.runs import RunContext

log = logging.getLogger(__name__)

CHUNK = 50
# No request to a provider takes longer: the channels' timeout, with room for a slow name server.
SLOWEST_ANSWER_SECONDS = 20
_LEASE_OVER = Receipt("retry", detail="the lease was nearly over before the message could be handed over")
_THREADS = 4


def send(
    context: RunContext, step: Step, channel: EmailChannel | SmsChannel, *, shard: int = 0, shards: int = 1
) -> Counter[str]:
    """Send what is queued of a step; returns counts by outcome.

    Raises:
        TryAgainError: the provider could not be reached or asked to wait; what is left stays queued for a retry.
        LifecycleError: a template does not load; nothing was claimed.
    """
    rendering.require_ready(context.journey, step)
    with database.transaction() as connection:
        outbox.expire_leases(connection)
    counts: Counter[str] = Counter()
    while True:
        # Read before the claim: the lease may only be longer than this side believes.
        last_start = monotonic() + outbox.LEASE_SECONDS - SLOWEST_ANSWER_SECONDS
        chunk = _claim(context, step, shard=shard, shards=shards)
        if not chunk:
            break
        counts += _send_chunk(context, step, channel, chunk, last_start)
        if counts["retry"]:
            break
    _require_empty_queue(context, step, counts, shard=shard, shards=shards)
    return counts


def _claim(context: RunContext, step: Step, *, shard: int, shards: int) -> list[Row[Any]]:
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        return outbox.claim(connection, context.journey, step, shard=shard, shards=shards, chunk=CHUNK)


def _send_chunk(
    context: RunContext, step: Step, channel: EmailChannel | SmsChannel, chunk: list[Row[Any]], last_start: float
) -> Counter[str]:
    counts: Counter[str] = Counter(f"skipped: {row.reason}" for row in chunk if row.send_state == "skipped")
    started_at = datetime.now(timezone.utc)
    rendered = _render_chunk(context, step, [row for row in chunk if row.send_state == "sending"])

    def send_one(message: Any) -> Receipt:
        # A sender that was frozen until its lease is nearly over must not begin: others may have decided by then.
        return channel.send(message) if monotonic() < last_start else _LEASE_OVER

    with ThreadPoolExecutor(_THREADS) as pool:
        receipts = list(pool.map(send_one, (message for _, message in rendered.outgoing)))
    answers = rendered.failed + [
        outbox.answered(row, receipt) for (row, _), receipt in zip(rendered.outgoing, receipts, strict=True)
    ]
    with database.transaction() as connection:
        settled = outbox.settle(connection, answers, provider=_provider(step), started_at=started_at)
    for answer in answers:
        outcome = answer.outcome if answer.reason != "template_error" else "skipped: template_error"
        counts[outcome if answer.claimed.message_id in settled else "decided elsewhere"] += 1
    return counts


@dataclass
class _Rendered:
    """A chunk after rendering: what goes out, and what could not be rendered."""

    outgoing: list[tuple[Row[Any], OutgoingEmail | OutgoingSms]] = field(default_factory=list)
    failed: list[outbox.Answer] = field(default_factory=list)


def _render_chunk(context: RunContext, step: Step, claimed: list[Row[Any]]) -> _Rendered:
    """Render what was claimed; links and vouchers are stored before anything leaves."""
    rendered, used = _Rendered(), []
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        for row, recipient in _recipients(connection, context, step, claimed):
            try:
                words = rendering.render(context.journey, step, recipient)
            except (rendering.UnrenderableError, LifecycleError) as error:
                log.warning("message %s cannot be rendered: %s", row.message_id, error)
                rendered.failed.append(outbox.unrenderable(row, str(error)))
            else:
                rendered.outgoing.append((row, outgoing_message(step, recipient.message_id, row.address, words)))
                used += [links.UsedLink(recipient.message_id, context.journey.name, name) for name in words.link_names]
        links.keep(connection, sorted(used))
    return rendered


def _recipients(
    connection: Connection, context: RunContext, step: Step, claimed: list[Row[Any]]
) -> list[tuple[Row[Any], rendering.Recipient]]:
    """What each claimed message is rendered from."""
    zone = context.as_of.tzinfo
    people = customers(connection, [row.customer_id for row in claimed])
    issued = {}
    if step.voucher:
        bearers = [vouchers.Bearer(row.message_id, row.customer_id, row.as_of) for row in claimed]
        issued = vouchers.issue(connection, step.voucher, bearers)
    return [
        (
            row,
            rendering.Recipient(
                message_id=str(row.message_id),
                # Whoever was erased since the claim is a stranger by now: the words have to do without a name.
                customer=people.get(row.customer_id, rendering.Customer(row.customer_id)),
                as_of=row.as_of.astimezone(zone),
                variables=row.variables,
                voucher=issued[row.message_id].dated_in(zone) if row.message_id in issued else None,
            ),
        )
        for row in claimed
    ]


def outgoing_message(
    step: Step, message_id: str, address: str, rendered: rendering.RenderedMessage
) -> OutgoingEmail | OutgoingSms:
    """The rendered words as the channel takes them."""
    if step.message.channel == "sms":
        return OutgoingSms(message_id, address, rendered.text)
    unsubscribe_url = links.url(message_id, links.UNSUBSCRIBE)
    return OutgoingEmail(message_id, address, rendered.subject, rendered.html, rendered.text, unsubscribe_url)


def customers(connection: Connection, customer_ids: list[str]) -> dict[str, rendering.Customer]:
    """What templates may know about some customers, by id, at the transaction's `as_of()`."""
    found = database.rows(connection, "engine/customers/of_messages.sql", customer_ids=customer_ids)
    return {row.customer_id: rendering.Customer(**row._mapping) for row in found}


def _provider(step: Step) -> str:
    return "twilio" if step.message.channel == "sms" else "sendgrid"


def _require_empty_queue(context: RunContext, step: Step, counts: Counter[str], *, shard: int, shards: int) -> None:
    """Whoever must be tried again stays queued; the failure makes Airflow (or a person) try again.

    That holds for whom the provider asked to wait longer than this task's last retry lies back: a send that finds only
    them is not done.
    """
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        left = outbox.waiting(connection, context.journey, step, shard=shard, shards=shards)
    if not counts["retry"] and not left.postponed:
        return
    raise TryAgainError(
        f"{left.waiting} messages of {context.journey.name}/{step.name} still wait: {_provider(step)} did not take them",
        hint="They stay queued and nobody is sent twice: run the task again when the provider answers",
    )
