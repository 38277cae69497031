"""Evidence: what settles a message that may or may not have left (architecture §6, 4).

A message found in the provider's register was accepted. One that is not found is sent again only when its absence is
proven: the register must already show a witness, a message that the provider accepted later. So a register that lags
behind delays a message and never doubles it. What no evidence settles within three days ends `unconfirmed`.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

    from lifecycle.journey import Step
    from lifecycle.runs import RunContext

log = logging.getLogger(__name__)

# An answer that was under way when its sender gave up has arrived by then.
SETTLE_AFTER_SECONDS = 60.0
GIVE_UP_AFTER_HOURS = 72
MOST_AT_ONCE = 500


@runtime_checkable
class Register(Protocol):
    """A channel whose provider can be asked what it accepted."""

    def listed(self, address: str) -> dict[str, str]:
        """The newest accepted messages to an address: provider id -> text.

        Raises:
            TryAgainError: the provider did not answer.
        """
        ...


class Finding(NamedTuple):
    """What the evidence says about one uncertain message."""

    message: Row[Any]
    send_state: str
    provider_id: str | None = None


def settle_uncertain(context: RunContext, step: Step, register: Register) -> Counter[str]:
    """Settle what is uncertain of a step, as far as there is evidence; returns counts by new state.

    Raises:
        TryAgainError: the provider's register did not answer; nothing was changed.
    """
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        uncertain = database.rows(
            connection,
            "engine/evidence/uncertain.sql",
            journey=context.journey.name,
            step=step.name,
            settle_after_seconds=SETTLE_AFTER_SECONDS,
            give_up_after_hours=GIVE_UP_AFTER_HOURS,
            most=MOST_AT_ONCE,
        )
    if not uncertain:
        return Counter()
    findings = [finding for finding in (_find(context, step, register, row) for row in uncertain) if finding]
    return _settle(findings)


def _find(context: RunContext, step: Step, register: Register, message: Row[Any]) -> Finding | None:
    provider_id = _provider_id(register, message)
    if provider_id:
        return Finding(message, "accepted", provider_id)
    if message.may_be_absent and _is_absent(context, step, register, message):
        return Finding(message, "queued")
    return Finding(message, "unconfirmed") if message.is_given_up else None


def _provider_id(register: Register, message: Row[Any]) -> str | None:
    """The provider's id of the message, recognised by the codes of its links, which no other message carries."""
    listed = register.listed(message.address) if message.address else {}
    return next((sid for sid, text in listed.items() if any(code in text for code in message.codes)), None)


def _is_absent(context: RunContext, step: Step, register: Register, message: Row[Any]) -> bool:
    """Whether the register is past the moment at which it would have shown the message."""
    if not message.address or not message.codes:
        # Links are stored before the first byte leaves: a message without any was never handed over.
        return not message.codes
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        found = database.rows(
            connection,
            "engine/evidence/witness.sql",
            channel=step.message.channel,
            since=message.uncertain_at + timedelta(seconds=SETTLE_AFTER_SECONDS),
        )
    if not found:
        return False
    # Asked in this order: the message may have been listed between the first look and the witness.
    is_past = found[0].provider_id in register.listed(found[0].address)
    return is_past and _provider_id(register, message) is None


def _settle(findings: list[Finding]) -> Counter[str]:
    if not findings:
        return Counter()
    with database.transaction() as connection:
        settled = database.rows(
            connection,
            "engine/evidence/settle.sql",
            message_ids=[finding.message.message_id for finding in findings],
            attempt_ids=[finding.message.attempt_id for finding in findings],
            send_states=[finding.send_state for finding in findings],
            provider_ids=[finding.provider_id for finding in findings],
        )
    counts = Counter(row.send_state for row in settled)
    log.info("uncertain messages settled: %s", dict(counts))
    return counts
