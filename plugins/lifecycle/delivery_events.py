"""Delivery events: what providers report of a message after they took it, kept once and folded into its state.

An event is read into our own words here; `lifecycle.receive_events` (migration 4) stores and folds a batch in one
statement. A delivery only rises, so neither order nor repetition matters (reliability §4).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# Under this name our message id travels in SendGrid's custom_args and comes back at the top of every event.
MESSAGE_ID_FIELD = "lifecycle_message_id"
STATEMENT_TIMEOUT = "10s"

_SENDGRID_KINDS = {
    "processed": "queued",
    "deferred": "deferred",
    "delivered": "delivered",
    "bounce": "bounced",
    "dropped": "dropped",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "group_resubscribe": "resubscribed",
}
_TWILIO_KINDS = {
    "accepted": "queued",
    "scheduled": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "partially_delivered": "delivered",
    "undelivered": "undelivered",
    "failed": "failed",
    "canceled": "failed",
}
# What SendGrid's own lists say of an address it did not even try.
_SUPPRESSING_DROPS = {
    "bounced address": "bounced",
    "invalid": "invalid_address",
    "unsubscribed address": "unsubscribed",
    "spam reporting address": "complained",
}
# A bounce for one of these reasons says something about us, not about the address.
_OUR_OWN_BOUNCES = {"content", "frequency or volume too high", "reputation", "technical failure"}
# 21610 opted out, 30005 unknown, 30006 a landline, 30640 a known litigator (providers §3).
_SUPPRESSING_CODES = {
    "21610": "stop",
    "21211": "invalid_address",
    "21614": "invalid_address",
    "30005": "invalid_address",
    "30006": "invalid_address",
    "30640": "complained",
}
_LAST_SECOND = 253_402_300_799
# How we write a message id ourselves, and how it comes back from everybody who does not change it.
_OUR_SPELLING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch


@dataclass(frozen=True)
class DeliveryEvent:
    """One event in our words. `kind` is a delivery state, a reaction such as `opened`, or `other`.

    `occurred` is in seconds since 1970; None means when it came in. `suppresses` is the reason for which the address
    gets nothing more. Only then, and where nothing but its request and its address tell which message it is about,
    `address` is given: it is hashed on its way and never stored.
    """

    event_id: str
    message_id: str | None
    kind: str
    raw_sha256: str
    natural_key: str | None = None
    is_machine: bool = False
    code: str = ""
    occurred: float | None = None
    suppresses: str | None = None
    address: str | None = None
    provider_id: str | None = None


@dataclass(frozen=True)
class Received:
    """What a batch did: new events, those of messages nobody knows, messages settled, addresses suppressed."""

    new: int
    unknown: int
    settled: int
    suppressed: int


@contextmanager
def transaction() -> Iterator[Connection]:
    """A transaction that may do what the public receiver may and nothing else (role `lifecycle_receiver`)."""
    with database.transaction() as connection:
        database.run(connection, "engine/delivery_events/become_receiver.sql", timeout=STATEMENT_TIMEOUT)
        yield connection


def receive(connection: Connection, provider: str, events: Iterable[DeliveryEvent]) -> Received:
    """Store and fold a batch of one provider's events; what was stored before changes nothing."""
    batch = list({event.event_id: vars(event) for event in events}.values())
    if not batch:
        return Received(0, 0, 0, 0)
    (row,) = database.rows(
        connection, "engine/delivery_events/receive.sql", provider=provider, events=json.dumps(batch)
    )
    return Received(*row)


# --- SendGrid ---------------------------------------------------------------------------------------------------------


def from_sendgrid(item: Any) -> DeliveryEvent | None:
    """An entry of SendGrid's event webhook; None when it is no event at all (reliability §7, 91-93)."""
    if not isinstance(item, Mapping) or not isinstance(item.get("event"), str):
        return None
    name = _text(item["event"]).lower()
    digest = hashlib.sha256(json.dumps(item).encode()).hexdigest()
    message_id = known_message_id(item.get(MESSAGE_ID_FIELD))
    suppresses = _sendgrid_suppression(name, item)
    return DeliveryEvent(
        event_id=_text(item.get("sg_event_id"))[:200] or f"sha256:{digest}",
        message_id=message_id,
        kind=_SENDGRID_KINDS.get(name, "other"),
        raw_sha256=digest,
        natural_key=_natural_key(name, message_id, item),
        is_machine=item.get("sg_machine_open") is True,
        code=_code(item.get("status")),
        occurred=_occurred(item.get("timestamp")),
        suppresses=suppresses,
        address=_text(item.get("email"))[:320] or None if suppresses or not message_id else None,
        provider_id=_text(item.get("sg_message_id")).split(".", 1)[0][:200] or None,
    )


def _sendgrid_suppression(name: str, item: Mapping[str, Any]) -> str | None:
    if name == "spamreport":
        return "complained"
    if name in ("unsubscribe", "group_unsubscribe"):
        return "unsubscribed"
    if name == "dropped":
        return _SUPPRESSING_DROPS.get(_text(item.get("reason")).strip().lower())
    return "bounced" if name == "bounce" and _is_hard_bounce(item) else None


def _is_hard_bounce(item: Mapping[str, Any]) -> bool:
    """Whether the address is to blame for good: `blocked` and 4.x.x pass, and so does what was about our mail."""
    return (
        _text(item.get("type")).lower() != "blocked"
        and not _text(item.get("status")).startswith("4")
        and _text(item.get("bounce_classification")).lower() not in _OUR_OWN_BOUNCES
    )


def _natural_key(name: str, message_id: str | None, item: Mapping[str, Any]) -> str | None:
    about = message_id or _text(item.get("sg_message_id")) or _text(item.get("smtp-id"))
    if not about:
        return None
    where = _text(item.get("url")) or _text(item.get("reason"))
    is_machine = "machine" if item.get("sg_machine_open") is True else ""
    # Without our id, one request's people share theirs: only the address tells them apart.
    address = "" if message_id else _text(item.get("email"))
    # No text holds a NUL (`_text`), so that no two facts are written alike.
    fact = "\0".join((about, name, _text(item.get("timestamp")), where, is_machine, address))
    return hashlib.sha256(fact.encode()).hexdigest()


# --- Twilio -----------------------------------------------------------------------------------------------------------


def from_twilio(fields: Mapping[str, str], message_id: str) -> DeliveryEvent | None:
    """A status callback of Twilio; None when it names no message or no status."""
    sid = _text(fields.get("MessageSid") or fields.get("SmsSid"))[:64]
    status = _text(fields.get("MessageStatus") or fields.get("SmsStatus")).lower()[:64]
    if not sid or not status:
        return None
    code = _code(fields.get("ErrorCode"))
    suppresses = _SUPPRESSING_CODES.get(code)
    return DeliveryEvent(
        # Callbacks carry no id of their own; raw dates and later additions do not make them another event.
        event_id=f"{sid}:{status}:{code}",
        message_id=known_message_id(message_id),
        kind=_TWILIO_KINDS.get(status, "other"),
        raw_sha256=hashlib.sha256(json.dumps(sorted(fields.items())).encode()).hexdigest(),
        code=code,
        suppresses=suppresses,
        address=_text(fields.get("To"))[:320] or None if suppresses else None,
        provider_id=sid,
    )


# --- values that anybody may have written ------------------------------------------------------------------------------


def known_message_id(value: Any) -> str | None:
    """Our message id, or None for whatever else stands in its place."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    if _OUR_SPELLING(value):
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None


def _text(value: Any) -> str:
    """A text that Postgres can store: no NUL, no half of a surrogate pair; empty for anything but text and numbers."""
    if isinstance(value, str) and value.isascii() and "\0" not in value:
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _code(value: Any) -> str:
    code = _text(value).strip()
    return code if re.fullmatch(r"[0-9.]{1,16}", code) else ""


def _occurred(value: Any) -> float | None:
    """When it happened; None when that cannot be: before 1970, after 9999 or no number."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if 0 < value <= _LAST_SECOND else None
