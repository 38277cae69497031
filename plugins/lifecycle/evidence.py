"""Evidence: what settles a message that may or may not have left (architecture §6, 4).

A message found in the provider's register was accepted. One that is not found is sent again only when its absence is
proven: the register must already show a witness, a message that the provider accepted later. So a register that lags
behind delays a message and never doubles it. What no evidence settles within three days ends `unconfirmed`.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from lifecycle import database
from lifecycle.channels import Sought

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

    def find(self, sought: list[Sought]) -> dict[str, str]:
        """Message id -> the provider's id of those it shows, empty for the others; left out: it cannot be told.

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

    What is held back at the provider is left to `holds` until its time is over.

    Raises:
        TryAgainError: the provider's register did not answer; nothing was changed.
    """
    uncertain = _rows(
        context,
        "engine/evidence/uncertain.sql",
        journey=context.journey.name,
        step=step.name,
        settle_after_seconds=SETTLE_AFTER_SECONDS,
        give_up_after_hours=GIVE_UP_AFTER_HOURS,
        most=MOST_AT_ONCE,
    )
    return _settle(_findings(context, step, register, uncertain)) if uncertain else Counter()


def _findings(context: RunContext, step: Step, register: Register, uncertain: list[Row[Any]]) -> list[Finding]:
    shown = _shown(register, uncertain)
    candidates = [row for row in uncertain if row.may_be_absent and not shown.get(row.message_id)]
    absent = {
        message_id
        for _, rows in groupby(candidates, key=attrgetter("uncertain_at"))
        for message_id in _absent(context, step, register, list(rows))
    }
    findings = []
    for row in uncertain:
        if shown.get(row.message_id):
            findings.append(Finding(row, "accepted", shown[row.message_id]))
        elif row.message_id in absent:
            findings.append(Finding(row, "queued"))
        elif row.is_given_up:
            findings.append(Finding(row, "unconfirmed"))
    return findings


def _shown(register: Register, rows: list[Row[Any]]) -> dict[Any, str]:
    """The provider's ids of some messages, empty for whom it does not show; whom it cannot tell of is left out."""
    sought = [
        Sought(str(row.message_id), row.address, row.since, row.until, tuple(row.codes)) for row in rows if row.address
    ]
    found = register.find(sought) if sought else {}
    return {row.message_id: found[str(row.message_id)] for row in rows if str(row.message_id) in found}


def _absent(context: RunContext, step: Step, register: Register, rows: list[Row[Any]]) -> set[Any]:
    """Whom the register would show by now: messages that became uncertain at one time."""
    # Links are stored before the first byte leaves: a message that must have some and has none was never handed over.
    never_left = {row.message_id for row in rows if row.must_have_codes and not row.codes}
    left = [row for row in rows if row.message_id not in never_left]
    witnesses = left and _rows(
        context,
        "engine/evidence/witness.sql",
        channel=step.message.channel,
        since=left[0].uncertain_at + timedelta(seconds=SETTLE_AFTER_SECONDS),
    )
    if not witnesses:
        return never_left
    witness = witnesses[0]
    sought = Sought(
        str(witness.message_id), witness.address, witness.since, witness.until, provider_id=witness.provider_id
    )
    if not register.find([sought]).get(sought.message_id):
        return never_left
    # Asked in this order: a message may have been shown between the first look and the witness.
    again = _shown(register, left)
    return never_left | {message_id for message_id, provider_id in again.items() if not provider_id}


def _rows(context: RunContext, statement: str, **values: Any) -> list[Row[Any]]:
    with database.transaction() as connection:
        database.set_as_of(connection, context.as_of, context.zone)
        return database.rows(connection, statement, **values)


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
