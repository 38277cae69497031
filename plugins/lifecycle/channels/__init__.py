"""The ways a message leaves: email and SMS.

A channel takes one rendered message and answers with a `Receipt`. It never decides who is messaged and never touches
the database; only `delivery` calls it. Provider SDKs are imported inside the call, never at import time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

Outcome = Literal["accepted", "rejected", "retry", "uncertain"]

MOST_AT_ONCE = 40
"""Requests to a provider that a sending process has under way at once, each on a connection that is kept alive."""


@dataclass(frozen=True)
class OutgoingEmail:
    """One rendered email. `message_id` is ours and opaque; it is the only thing we put into provider metadata."""

    message_id: str
    to: str
    subject: str
    html: str
    text: str
    unsubscribe_url: str = ""


@dataclass(frozen=True)
class BatchRecipient:
    """One person of an `EmailBatch`; `substitutions` holds by tag what is theirs alone."""

    message_id: str
    to: str
    substitutions: dict[str, str]
    unsubscribe_url: str = ""


@dataclass(frozen=True)
class EmailBatch:
    """One request to many people: the words they share, once, with tags where each person's own words go.

    The tags occur nowhere else, neither in the words nor in what replaces them, so that the order of replacing does
    not matter. No address occurs twice.
    """

    subject: str
    html: str
    text: str
    recipients: list[BatchRecipient]


@dataclass(frozen=True)
class OutgoingSms:
    """One rendered SMS; `to` is E.164. With media it is an MMS; after `valid_seconds` the provider drops it."""

    message_id: str
    to: str
    body: str
    media_urls: tuple[str, ...] = ()
    valid_seconds: int | None = None


@dataclass(frozen=True)
class Receipt:
    """What the provider's answer means for us (reliability §1.3, answer classes).

    accepted: certainly theirs now. rejected: certainly refused, for good. retry: certainly not processed, try again
    after `retry_after_seconds`. uncertain: a timeout, a reset or a 5xx: it may have been sent, never blindly resend.
    `detail` is our own words or a provider code, never text of the provider's (it contains addresses).
    """

    outcome: Outcome
    provider_id: str = ""
    http_status: int | None = None
    provider_code: str = ""
    detail: str = ""
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Sought:
    """A message to look for among what a provider accepted between two instants.

    It is recognised by the codes of its links, which no other message carries, by our message id where the provider
    keeps it, or by the provider's own id when that is known.
    """

    message_id: str
    address: str
    since: datetime
    until: datetime
    codes: tuple[str, ...] = ()
    provider_id: str = ""


class Hold(NamedTuple):
    """Under which name a provider keeps emails back, and until when (seconds since 1970)."""

    batch_id: str
    send_at: int


class EmailChannel(Protocol):
    """Anything that can send an email."""

    def send(self, message: OutgoingEmail) -> Receipt:
        """Hand one email over and say what became of it."""
        ...

    def send_many(self, batch: EmailBatch, *, within_seconds: float = ..., hold: Hold | None = None) -> list[Receipt]:
        """Hand a batch over, in time, to be held if so, and say what became of each person, in their order."""
        ...


class SmsChannel(Protocol):
    """Anything that can send an SMS."""

    def send(self, message: OutgoingSms) -> Receipt:
        """Hand one SMS over and say what became of it."""
        ...
