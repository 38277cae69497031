"""Prices: what a rendered SMS is billed as."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lifecycle import settings, sms
from lifecycle.journey import Sms

if TYPE_CHECKING:
    from lifecycle.journey import Step


class Price(NamedTuple):
    """Billed parts and cents; an email has neither, an SMS with media is one MMS."""

    parts: int
    cents: int


def price(step: Step, text: str) -> Price:
    """What a step's rendered message costs."""
    if not isinstance(step.message, Sms):
        return Price(0, 0)
    if step.message.media_urls:
        return Price(1, settings.mms_cents())
    parts = sms.measure(text).parts
    return Price(parts, parts * settings.sms_part_cents())
