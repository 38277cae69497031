"""How a provider's answer is read, for every channel alike (reliability: certain yes, certain no, ambiguous)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from lifecycle.channels import Outcome

Meaning = tuple[Outcome, str]

CREDENTIALS_REFUSED: Meaning = ("retry", "credentials refused")
RATE_LIMITED: Meaning = ("retry", "rate limited")
NOT_REACHED: Meaning = ("retry", "provider not reached")
NO_ANSWER: Meaning = ("uncertain", "no answer")
ODD_ANSWER: Meaning = ("uncertain", "answer not understood")
SERVER_ERROR: Meaning = ("uncertain", "provider error")

REFUSALS: dict[int, Meaning] = {
    400: ("rejected", "request refused"),
    401: CREDENTIALS_REFUSED,
    403: CREDENTIALS_REFUSED,
    404: ("rejected", "not found"),
    405: ("rejected", "method refused"),
    406: ("rejected", "format refused"),
    410: ("rejected", "gone"),
    411: ("rejected", "length missing"),
    413: ("rejected", "message too large"),
    414: ("rejected", "address too long"),
    415: ("rejected", "format refused"),
    422: ("rejected", "request refused"),
    429: RATE_LIMITED,
    431: ("rejected", "headers too large"),
}
"""HTTP statuses after which the message was certainly not taken. Every other one proves nothing."""

LONGEST_WAIT_SECONDS = 3600.0
_JUNK_WAIT_SECONDS = 7 * 24 * 3600.0


def meaning_of_status(status: int) -> Meaning:
    """What an HTTP status other than the expected success means."""
    if status >= 500:
        return SERVER_ERROR
    return REFUSALS.get(status, ODD_ANSWER)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """How long a 429 asks us to wait (RFC 9110, Retry-After), or None when it does not say anything sensible.

    A negative number, a text, a date in the past or a wait of more than a week is junk and ignored; anything above an
    hour counts as an hour, because a lifted limit should not be missed for a day. Without the header, SendGrid's
    `X-RateLimit-Reset` (seconds since 1970) is read.
    """
    asked = _seconds(headers.get("Retry-After") or "")
    if asked is None:
        asked = _until(_number(headers.get("X-RateLimit-Reset") or ""))
    if asked is None or not 0 < asked <= _JUNK_WAIT_SECONDS:
        return None
    return min(asked, LONGEST_WAIT_SECONDS)


def _seconds(value: str) -> float | None:
    number = _number(value)
    return number if number is not None else _until(_timestamp(value))


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _timestamp(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _until(timestamp: float | None) -> float | None:
    return None if timestamp is None else timestamp - time.time()
