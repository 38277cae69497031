"""The summary of a replay: per step how many would be sent, skipped and why, what that costs, and who needed none of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lifecycle import as_of, conversions, database, delivery, rendering, vouchers
from lifecycle.prices import price

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step
    from lifecycle.replay import ReplayRow
    from lifecycle.runs import RunContext

_MESSAGE_ID = "00000000-0000-0000-0000-000000000000"


COLUMNS = ("step", "would_send", "skipped", "came_back_anyway", "sms_parts", "cost")


@dataclass
class StepSummary:
    """What became of one step. `came_back_anyway` people reached the goal within its days though nobody wrote to them."""

    step: str
    would_send: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    came_back_anyway: int = 0
    sms_parts: int = 0
    cost_cents: int = 0


class ReplaySummary:
    """Sums a replay up while it goes from day to day; holds counts only, so that a long one needs no memory."""

    def __init__(self, journey: Journey) -> None:
        self.steps = {step.name: StepSummary(step.name) for step in journey.steps}

    def rows(self) -> list[list[Any]]:
        """One row per step, in the order of COLUMNS; the cost in whole units of money, such as 12.34."""
        return [
            [
                step.step,
                step.would_send,
                ", ".join(f"{reason} {people}" for reason, people in step.skipped.most_common()),
                step.came_back_anyway,
                step.sms_parts,
                f"{step.cost_cents // 100}.{step.cost_cents % 100:02}",
            ]
            for step in self.steps.values()
        ]

    def add_day(self, connection: Connection, context: RunContext, run_id: int, rows: Iterable[ReplayRow]) -> None:
        """Add what a rehearsed run decided, before its messages count as received."""
        for row in rows:
            step = self.steps[row.step]
            # A replay goes on as if a person had approved.
            if row.outcome in ("would_send", "held"):
                step.would_send += 1
            elif row.outcome == "skipped":
                step.skipped[row.reason] += 1
        database.set_as_of(connection, context.as_of, context.zone)
        for name, queued in _by_step(database.rows(connection, "engine/replay/queued_sms.sql", run_id=run_id)).items():
            self._add_prices(connection, context, context.journey.step(name), queued)

    def _add_prices(self, connection: Connection, context: RunContext, step: Step, queued: list[Any]) -> None:
        people = delivery.customers(connection, [row.customer_id for row in queued])
        printer = rendering.SmsPrinter(context.journey, step)
        voucher = vouchers.sample(step.voucher, context.as_of) if step.voucher else None
        total = self.steps[step.name]
        for row in queued:
            recipient = rendering.Recipient(
                _MESSAGE_ID,
                people[row.customer_id],
                context.as_of,
                row.variables,
                voucher,
                vouchers.code_key(vouchers.SAMPLE_CODE),
            )
            try:
                text, _ = printer.printed(recipient)
            except rendering.UnrenderableError:
                total.would_send -= 1
                total.skipped["template_error"] += 1
                continue
            billed = price(step, text)
            total.sms_parts += billed.parts
            total.cost_cents += billed.cents

    def finish(self, connection: Connection, last: RunContext) -> None:
        """Look from the day on which the goal's days of the last run are over at who reached the goal anyway."""
        journey = last.journey
        if not journey.goal:
            return
        within_days = journey.goal.within_days
        after = as_of.midnight(last.run_day + timedelta(days=within_days), last.zone)
        database.set_as_of(connection, after, last.zone)
        database.run(connection, "engine/replay/reopen.sql", journey=journey.name)
        with conversions.found(connection, journey):
            found = database.rows(
                connection, "engine/replay/came_back.sql", journey=journey.name, within_days=within_days
            )
        for row in found:
            self.steps[row.step].came_back_anyway = row.people


def _by_step(rows: list[Any]) -> dict[str, list[Any]]:
    steps: dict[str, list[Any]] = {}
    for row in rows:
        steps.setdefault(row.step, []).append(row)
    return steps
