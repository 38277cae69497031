"""Signatures of webhooks: whether a request comes from SendGrid or Twilio, by the checks of their own SDKs.

Both SDKs raise on what is malformed and know no freshness (reliability §1.2). Here everything that cannot be verified
is simply not theirs, and several keys are tried, the newest first, so that keys can be changed while events come in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lifecycle.errors import LifecycleError

# SendGrid repeats what was not answered for a day.
FRESH_SECONDS = 24 * 60 * 60
_CLOCK_SKEW_SECONDS = 5 * 60

SENDGRID_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
SENDGRID_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
TWILIO_SIGNATURE = "X-Twilio-Signature"
TWILIO_SETTINGS = "X-Twilio-Webhooks-Signature-Settings"


def is_from_sendgrid(keys: Sequence[str], body: bytes, headers: Mapping[str, str], now: float) -> bool:
    """Whether SendGrid signed this body within the last day. `keys` are public keys as its settings page shows them."""
    signature, timestamp = headers.get(SENDGRID_SIGNATURE), headers.get(SENDGRID_TIMESTAMP)
    if not signature or not timestamp or not _is_fresh(timestamp, now):
        return False
    return any(_verifies(key, body, signature, timestamp) for key in keys)


def _is_fresh(timestamp: str, now: float) -> bool:
    # Nothing separates timestamp and body in what is signed: a digit moved between them makes another time.
    if not re.fullmatch(r"[0-9]{10}", timestamp):
        return False
    return -_CLOCK_SKEW_SECONDS <= now - int(timestamp) <= FRESH_SECONDS


def _verifies(key: str, body: bytes, signature: str, timestamp: str) -> bool:
    try:
        return _sendgrid_verifier(key).verify_signature(body.decode("utf-8"), signature, timestamp)
    except (ValueError, TypeError, AttributeError):
        return False


def require_sendgrid_key(key: str) -> None:
    """Refuse a configured key that could never verify anything.

    Raises:
        LifecycleError: it is no public key; the text does not repeat it.
    """
    try:
        _sendgrid_verifier(key).verify_signature("", "", "0")
    except (ValueError, TypeError, AttributeError):
        hint = "Copy the verification key from SendGrid: Settings, Mail Settings, Event Webhook"
        raise LifecycleError("LIFECYCLE_SENDGRID_WEBHOOK_KEYS holds something that is no key", hint=hint) from None


@lru_cache(maxsize=8)
def _sendgrid_verifier(key: str) -> Any:
    from sendgrid.helpers.eventwebhook import EventWebhook

    return EventWebhook(key)


class FormFields:
    """The fields of a form as Twilio's validator reads them: a name may come several times."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Any:
        return iter([name for name, _ in self._pairs])

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def getlist(self, name: str) -> list[str]:
        """Every value of a name."""
        return [value for key, value in self._pairs if key == name]


def is_from_twilio(
    tokens: Sequence[str], url: str, pairs: Sequence[tuple[str, str]], headers: Mapping[str, str]
) -> bool:
    """Whether Twilio signed these fields for this address, with SHA-1 or, where its header says so, SHA-256.

    `url` is the public address, never what a request says about itself.
    """
    from twilio.request_validator import RequestValidator, get_signature_algorithm

    signature = headers.get(TWILIO_SIGNATURE)
    if not signature:
        return False
    algorithm = get_signature_algorithm(headers.get(TWILIO_SETTINGS))
    try:
        return any(RequestValidator(token).validate(url, FormFields(pairs), signature, algorithm) for token in tokens)
    except (ValueError, TypeError):
        return False
