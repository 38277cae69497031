"""Delivery: claimed messages are rendered and handed to a channel, and every answer is recorded.

The claim is committed before any byte leaves. A crash at any point leaves a message that is queued (never tried),
settled (answered) or `sending` (unknown): the last is never sent again blindly (architecture §6).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lifecycle import (
    breaker,
    database,
    factoring,
    holds,
    links,
    outbox,
    pace,
    referrals,
    rendering,
    settings,
    vouchers,
)
from lifecycle.channels import MOST_AT_ONCE, EmailBatch, Hold, OutgoingSms, Receipt
from lifecycle.errors import LifecycleError, TryAgainError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Sms, Step
    from lifecycle.runs import RunContext

log = logging.getLogger(__name__)

# While one SMS waits for the provider's answer the others are sent: a chunk takes three answers' time.
CHUNK = 3 * MOST_AT_ONCE
# Emails share requests of up to 500 people, so that two of those are claimed at once.
EMAIL_CHUNK = 1_000
# No request to a provider takes longer: the channels' timeout, with room for a slow name server.
SLOWEST_ANSWER_SECONDS = 20
_LEASE_OVER = Receipt("retry", detail="the lease was nearly over before the message could be handed over")


def send(
    context: RunContext, step: Step, channel: EmailChannel | SmsChannel, *, shard: int = 0, shards: int = 1
) -> Counter[str]:
    """Send what is queued of a step; returns counts by outcome.

    Raises:
        TryAgainError: the provider could not be reached or asked to wait; what is left stays queued for a retry.
        LifecycleError: a template does not load, and nothing was claimed; or the breaker paused the channel.
    """
    rendering.require_ready(context.journey, step)
    with database.transaction() as connection:
        outbox.expire_leases(connection)
    counts: Counter[str] = Counter()
    while True:
        turns = _take_turns(context, step, shard=shard, shards=shards)
        # Read before the claim: the lease may only be longer than this side believes.
        last_start = monotonic() + outbox.LEASE_SECONDS - SLOWEST_ANSWER_SECONDS
        chunk, hold = _claim(context, step, channel, shard=shard, shards=shards, most=turns.messages)
        pace.give_back(turns, turns.messages - sum(row.send_state == "sending" for row in chunk))
        if not chunk:
            break
        counts += _send_chunk(context, step, channel, chunk, last_start, turns, hold)
        if counts["retry"]:
            break
    _require_empty_queue(context, step, counts, shard=shard, shards=shards)
    return counts


def _take_turns(context: RunContext, step: Step, *, shard: int, shards: int) -> pace.Turns:
    # A chunk at the pace of a slow number takes half of the time that its lease leaves for starting.
    within_seconds = (outbox.LEASE_SECONDS - SLOWEST_ANSWER_SECONDS) / 2
    most = EMAIL_CHUNK if step.message.channel == "email" else CHUNK
    return pace.take_turns(context, step, shard=shard, shards=shards, most=most, within_seconds=within_seconds)


def _claim(
    context: RunContext, step: Step, channel: EmailChannel | SmsChannel, *, shard: int, shards: int, most: int
) -> tuple[list[Row[Any]], Hold | None]:
    batch_id = _hold_name(context, step, channel, shard=shard, shards=shards)
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        claimed = outbox.claim(connection, context, step, shard=shard, shards=shards, chunk=most)
        return claimed, holds.keep(connection, context.journey, step, batch_id, claimed)


def _hold_name(context: RunContext, step: Step, channel: Any, *, shard: int, shards: int) -> str:
    """Under which name the next claim is held, if it is; nobody has to answer for an empty queue."""
    try:
        return holds.name_for(context.journey, step, channel)
    except TryAgainError:
        if _left(context, step, shard=shard, shards=shards).waiting:
            raise
        return ""


def _send_chunk(
    context: RunContext,
    step: Step,
    channel: EmailChannel | SmsChannel,
    chunk: list[Row[Any]],
    last_start: float,
    turns: pace.Turns,
    hold: Hold | None,
) -> Counter[str]:
    counts: Counter[str] = Counter(f"skipped: {row.reason}" for row in chunk if row.send_state == "skipped")
    counts["deferred"] = sum(row.send_state == "queued" for row in chunk)
    # By Postgres' clock: a worker whose own is wrong must not make a witness look later than it was.
    started_at = chunk[0].claimed_at
    sending = [row for row in chunk if row.send_state == "sending"]
    prepared = _prepare(context, step, channel, sending, last_start, turns, hold)

    def hand_over(parcel: _Parcel) -> list[Receipt]:
        # A sender that was frozen until its lease is nearly over must not begin: others may have decided by then.
        return parcel.hand_over() if monotonic() < last_start else [_LEASE_OVER] * len(parcel.rows)

    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        receipts = list(pool.map(hand_over, prepared.parcels))
    answers = prepared.failed + [
        outbox.answered(row, receipt)
        for parcel, its_receipts in zip(prepared.parcels, receipts, strict=True)
        for row, receipt in zip(parcel.rows, its_receipts, strict=True)
    ]
    with database.transaction() as connection:
        settled = outbox.settle(connection, answers, provider=_provider(step), started_at=started_at)
        breaker.watch(connection, step.message.channel, receipts)
    for answer in answers:
        outcome = f"skipped: {answer.reason}" if answer.outcome == "skipped" else answer.outcome
        counts[outcome if answer.claimed.message_id in settled else "decided elsewhere"] += 1
    return counts


class _Parcel(NamedTuple):
    """What goes to the provider in one request: the messages in it, and how it is handed over."""

    rows: list[Row[Any]]
    hand_over: Callable[[], list[Receipt]]


@dataclass
class _Prepared:
    """A chunk after rendering: what goes out, what could not be rendered, and the links that were used."""

    parcels: list[_Parcel] = field(default_factory=list)
    failed: list[outbox.Answer] = field(default_factory=list)
    used: list[links.UsedLink] = field(default_factory=list)

    def fail(self, row: Row[Any], why: str, reason: str = "template_error") -> None:
        """Leave a message out, and say so without naming the person."""
        log.warning("message %s cannot be made: %s", row.message_id, why)
        self.failed.append(outbox.left_out(row, reason, why))


def _prepare(
    context: RunContext,
    step: Step,
    channel: Any,
    claimed: list[Row[Any]],
    last_start: float,
    turns: pace.Turns,
    hold: Hold | None,
) -> _Prepared:
    """Render what was claimed; links and vouchers are stored before anything leaves."""
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        issued = _issue_vouchers(connection, context, step, claimed, hold)
        served = [row for row in claimed if row.message_id in issued] if step.voucher else claimed
        recipients = _recipients(connection, context, step, served, issued)
        if step.message.channel == "email":
            prepared = _prepare_emails(context, step, channel, recipients, last_start, hold)
        else:
            prepared = _prepare_sms(context, step, channel, recipients, last_start, turns)
        if step.voucher and len(served) < len(claimed):
            for row in claimed:
                if row.message_id not in issued:
                    prepared.fail(row, f"the voucher pool {step.voucher.pool} is empty", "no_voucher_left")
        links.keep(connection, prepared.used)
    return prepared


def _prepare_sms(
    context: RunContext,
    step: Step,
    channel: SmsChannel,
    recipients: list[tuple[Row[Any], rendering.Recipient]],
    last_start: float,
    turns: pace.Turns,
) -> _Prepared:
    """One request a message: that is what Twilio takes."""
    prepared = _Prepared()
    sms = cast("Sms", step.message)
    valid_seconds = int(sms.valid_for.total_seconds())
    try:
        printer = rendering.SmsPrinter(context.journey, step)
    except LifecycleError as error:
        for row, _ in recipients:
            prepared.fail(row, str(error))
        return prepared
    for row, recipient in recipients:
        try:
            text, codes = printer.printed(recipient)
        except (rendering.UnrenderableError, LifecycleError) as error:
            prepared.fail(row, str(error))
            continue
        message = OutgoingSms(recipient.message_id, row.address, text, sms.media_urls, valid_seconds)
        prepared.parcels.append(_Parcel([row], partial(_send_one, channel, message, last_start, turns)))
        prepared.used += [
            links.UsedLink(recipient.message_id, context.journey.name, name, code) for name, code in codes.items()
        ]
    return prepared


def _send_one(channel: SmsChannel, message: OutgoingSms, last_start: float, turns: pace.Turns) -> list[Receipt]:
    turns.wait()
    if turns.stopped:
        return [turns.stopped]
    if monotonic() >= last_start:
        return [_LEASE_OVER]
    receipt = channel.send(message)
    turns.heed(receipt)
    return [receipt]


def _prepare_emails(
    context: RunContext,
    step: Step,
    channel: EmailChannel,
    recipients: list[tuple[Row[Any], rendering.Recipient]],
    last_start: float,
    hold: Hold | None,
) -> _Prepared:
    """Many people in one request: the words they share once, and each person's own beside them."""
    prepared = _Prepared()
    rows = {recipient.message_id: row for row, recipient in recipients}
    addressed = [factoring.Addressed(recipient, row.address) for row, recipient in recipients]
    factored = factoring.factor(context.journey, step, addressed)
    for message_id, why in factored.unrenderable.items():
        prepared.fail(rows[message_id], why)
    for batch in factored.batches:
        its_rows = [rows[person.message_id] for person in batch.recipients]
        prepared.parcels.append(_Parcel(its_rows, partial(_send_many, channel, batch, last_start, hold)))
    prepared.used += factored.used
    return prepared


def _send_many(channel: EmailChannel, batch: EmailBatch, last_start: float, hold: Hold | None) -> list[Receipt]:
    """A refused batch is halved until the bad address stands alone; all of that has to end before the lease does."""
    return channel.send_many(batch, within_seconds=last_start + SLOWEST_ANSWER_SECONDS - monotonic(), hold=hold)


def _issue_vouchers(
    connection: Connection, context: RunContext, step: Step, claimed: list[Row[Any]], hold: Hold | None
) -> dict[str, vouchers.IssuedVoucher]:
    """The voucher of each message, by its id; whoever is missing gets none, because a pool is empty."""
    if not step.voucher or not claimed:
        return {}
    # What is held arrives so much later, and a day that is played as if it were today has today's clock.
    leaves_at = datetime.fromtimestamp(hold.send_at, timezone.utc) if hold else claimed[0].claimed_at
    sent_at = leaves_at - timedelta(days=context.skew_days)
    bearers = [vouchers.Bearer(row.message_id, row.customer_id, row.as_of, sent_at) for row in claimed]
    return vouchers.issue(connection, step.voucher, bearers)


def _recipients(
    connection: Connection,
    context: RunContext,
    step: Step,
    claimed: list[Row[Any]],
    issued: dict[str, vouchers.IssuedVoucher],
) -> list[tuple[Row[Any], rendering.Recipient]]:
    """What each claimed message is rendered from."""
    zone = context.as_of.tzinfo
    instants = {as_of: as_of.astimezone(zone) for as_of in {row.as_of for row in claimed}}
    customer_ids = [row.customer_id for row in claimed]
    people = customers(connection, customer_ids)
    welcome = _open_to_offers(connection, context, step, customer_ids)
    # Only whoever reads their link for friends is given one.
    is_asked = rendering.prints(context.journey, step, "referral_link")
    referral_keys = referrals.code_keys(connection, list(people)) if is_asked else {}
    return [
        (
            row,
            rendering.Recipient(
                message_id=row.message_id,
                # Whoever was erased since the claim is a stranger by now: the words have to do without a name.
                customer=people.get(row.customer_id) or rendering.Customer(row.customer_id),
                as_of=instants[row.as_of],
                variables=json.loads(row.variables) if row.variables != "{}" else {},
                voucher=issued[row.message_id].dated_in(zone) if row.message_id in issued else None,
                referral_key=referral_keys.get(row.customer_id),
                may_offer=row.customer_id in welcome,
            ),
        )
        for row in claimed
    ]


def customers(connection: Connection, customer_ids: list[str]) -> dict[str, rendering.Customer]:
    """What templates may know about some customers, by id, at the transaction's `as_of()`."""
    found = database.rows(connection, "engine/customers/of_messages.sql", customer_ids=customer_ids)
    return {row.customer_id: rendering.Customer(*row) for row in found}


def _open_to_offers(connection: Connection, context: RunContext, step: Step, customer_ids: list[str]) -> set[str]:
    """Who wants marketing on the channel of a step (A-12); whoever gets marketing was asked when it was claimed."""
    if context.journey.kind == "marketing" or not customer_ids:
        return set(customer_ids)
    asked = {"channel": step.message.channel, "holdout_percent": settings.holdout_percent()}
    found = database.rows(connection, "engine/customers/open_to_offers.sql", customer_ids=customer_ids, **asked)
    return {row.customer_id for row in found}


def _provider(step: Step) -> str:
    return "twilio" if step.message.channel == "sms" else "sendgrid"


def _require_empty_queue(context: RunContext, step: Step, counts: Counter[str], *, shard: int, shards: int) -> None:
    """Whoever must be tried again stays queued; the failure makes Airflow (or a person) try again.

    That holds for whom the provider asked to wait longer than this task's last retry lies back: a send that finds only
    them is not done.
    """
    left = _left(context, step, shard=shard, shards=shards)
    if left.waiting or counts["uncertain"]:
        with database.transaction() as connection:
            where = f"{context.journey.name}/{step.name}"
            breaker.require_untripped(connection, step.message.channel, left.waiting, where)
    if not counts["retry"] and not left.postponed:
        return
    raise TryAgainError(
        f"{left.waiting} messages of {context.journey.name}/{step.name} still wait: {_provider(step)} did not take them",
        hint="They stay queued and nobody is sent twice: run the task again when the provider answers",
    )


def _left(context: RunContext, step: Step, *, shard: int, shards: int) -> Row[Any]:
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        return outbox.waiting(connection, context.journey, step, shard=shard, shards=shards)
