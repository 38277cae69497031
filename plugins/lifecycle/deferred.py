"""Deferred messages: what waited for the end of somebody's quiet hours is sent soon after it, not with the next run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from lifecycle import database, journeys, outbox, runs, stages
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Step


def send(channel_for: Callable[[Step], EmailChannel | SmsChannel]) -> dict[str, dict[str, int]]:
    """Send what is due again, each message with the day and the zone of the run that planned it.

    Returns counts by outcome of each `journey/step`; empty when nobody's quiet hours ended. Every rule is asked again.

    Raises:
        TryAgainError: a provider asked to wait; what is left stays queued. All other steps had their turn.
        LifecycleError: a journey does not load, or its templates do not. All other steps had their turn.
    """
    counts: dict[str, Counter[str]] = {}
    failures: list[LifecycleError] = []
    with database.transaction() as connection:
        due = outbox.deferred(connection)
    for planned in due:
        where = f"{planned.journey}/{planned.step}"
        try:
            declared, step = journeys.load_step(where)
            today = planned.run_day + timedelta(days=planned.late_days)
            clock = today + timedelta(days=planned.skew_days)
            context = runs.for_day(
                declared.journey, planned.run_day, planned.zone, run_type=planned.run_type, today=today, clock=clock
            )
            counts.setdefault(where, Counter()).update(stages.send(context, step, channel_for(step)))
        except LifecycleError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return {where: dict(outcomes) for where, outcomes in counts.items()}
