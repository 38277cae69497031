"""The breaker: a channel whose provider refuses us, or no longer says what it does, is paused by itself.

It pauses through the kill switch, so that every claim stops on every machine, and a person resumes. Refused credentials
say it at once; ambiguous answers (timeout, reset, 5xx) say it when many come in a row, whichever sender got them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lifecycle import database
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.channels import Receipt

log = logging.getLogger(__name__)

CHANGED_BY = "breaker"
"""Who paused, in `lifecycle.send_controls`."""

MOST_AMBIGUOUS_IN_A_ROW = 20


def watch(connection: Connection, channel: str, parcels: list[list[Receipt]]) -> None:
    """Judge the answers to one request after the other, in the transaction that records them.

    Each list holds the receipts of one parcel; people who shared a request share the very same receipt. An answer is
    what a provider gave or failed to give: a message that was never handed over says nothing.
    """
    answers = [receipt for parcel in parcels for receipt in _one_per_request(parcel)]
    refused = next((answer for answer in answers if _is_refusal_of_us(answer)), None)
    if refused:
        _trip(connection, channel, f"the provider refused our credentials (HTTP {refused.http_status})")
    in_a_row = 0
    if any(answer.outcome == "uncertain" for answer in answers):
        in_a_row = database.rows(connection, "engine/breaker/lock.sql", channel=channel)[0].ambiguous_in_a_row
    elif not any(_is_clear(answer) for answer in answers):
        return
    for answer in answers:
        in_a_row = in_a_row + 1 if answer.outcome == "uncertain" else 0 if _is_clear(answer) else in_a_row
        if in_a_row >= MOST_AMBIGUOUS_IN_A_ROW:
            _trip(connection, channel, f"{in_a_row} answers in a row left open whether the message was sent")
            in_a_row = 0
    database.run(connection, "engine/breaker/count.sql", channel=channel, in_a_row=in_a_row)


def require_untripped(connection: Connection, channel: str, messages: int, where: str) -> None:
    """Fail when the breaker holds messages back, so that a person sees it and not only the report.

    Raises:
        LifecycleError: the channel was paused by the breaker; the line says why and which command resumes.
    """
    found = database.rows(connection, "engine/controls/paused.sql")
    for control in found:
        if control.scope == channel and control.changed_by == CHANGED_BY:
            raise LifecycleError(
                f"{channel} is paused since {control.changed_at:%Y-%m-%d %H:%M %Z}: {control.reason}; "
                f"{messages} messages of {where} wait",
                hint=f"Mend the cause, see docs/runbooks/provider-refuses.md, and then: lifecycle resume {channel}",
            )


def _one_per_request(parcel: list[Receipt]) -> list[Receipt]:
    return [receipt for place, receipt in enumerate(parcel) if not place or receipt is not parcel[place - 1]]


def _is_refusal_of_us(answer: Receipt) -> bool:
    """Whether a provider turned us away, not a message: a refusal of one message is final and means no retry."""
    return answer.outcome == "retry" and answer.http_status in (401, 403)


def _is_clear(answer: Receipt) -> bool:
    return answer.outcome != "uncertain" and answer.http_status is not None


def _trip(connection: Connection, channel: str, reason: str) -> None:
    values = {"channel": channel, "reason": reason, "changed_by": CHANGED_BY}
    if database.run(connection, "engine/breaker/trip.sql", **values):
        log.error("%s is paused: %s", channel, reason)
