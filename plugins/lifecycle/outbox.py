"""The outbox: every message that was ever due, with its state and the reason it did not go.

The only way into it is `plan`, which asks the policy (`include/sql/engine/outbox/plan_step.sql`); the only way out is
`claim`, which asks it again in the statement that takes the message, and `settle`, which records the answer.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from lifecycle import database, rendering, settings
from lifecycle.channels import Receipt

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.journey import Journey, Step
    from lifecycle.runs import RunContext

# A claim is held this long. A send takes at most the provider timeout, so a longer silence means a dead sender.
LEASE_SECONDS = 60

# An audience up to this size is planned by looking its people up, whatever the size of the tables.
FEW_PEOPLE = 20_000

_STATE_AFTER = {"accepted": "accepted", "rejected": "rejected", "retry": "queued", "uncertain": "uncertain"}


def plan(
    connection: Connection, run_id: int, context: RunContext, step: Step, converted_ids: list[str]
) -> Counter[str]:
    """Plan one message per person of the step's audience; returns counts by outcome, such as `skipped: no_consent`.

    Planning again adds nothing: the dedupe key is unique in the schema.
    """
    journey = context.journey
    lock(connection, journey, step)
    cap_messages, cap_days = settings.frequency_cap(step.message.channel)
    database.run(connection, "engine/outbox/begin_planning.sql")
    few_people = _few_people(connection, run_id, step)
    database.run(
        connection,
        "engine/outbox/plan_step.sql",
        run_id=run_id,
        journey=journey.name,
        step=step.name,
        channel=step.message.channel,
        template=step.message.template,
        template_sha=rendering.template_sha(journey, step),
        few_people=few_people,
        converted_ids=converted_ids,
        kind=journey.kind,
        priority=journey.priority,
        holdout_percent=journey.holdout_percent,
        global_holdout_percent=settings.holdout_percent(),
        cap_messages=cap_messages,
        cap_days=cap_days,
        today=context.today,
        known_at=context.known_at,
        late_days=context.late_days,
        max_late_days=step.max_lateness.days,
        step_late_days=days_worth_sending(step),
        steps=[one.name for one in journey.steps],
        steps_late_days=[days_worth_sending(one) for one in journey.steps],
    )
    lost = {"run_id": run_id, "journey": journey.name, "step": step.name, "today": context.today}
    database.run(connection, "engine/outbox/lose_to.sql", **lost, few_people=few_people)
    counts = counts_of_step(connection, run_id, step)
    database.run(connection, "engine/outbox/end_planning.sql")
    return counts


def _few_people(connection: Connection, run_id: int, step: Step) -> list[str] | None:
    """The customers of a small audience, whom the plan looks up; None when reading whole tables is as good."""
    (few,) = database.rows(connection, "engine/outbox/few_people.sql", run_id=run_id, step=step.name, most=FEW_PEOPLE)
    return few.customer_ids


def days_worth_sending(step: Step) -> int | None:
    """How many days after its own day a step's message is still planned; None when it always is."""
    return None if step.when_late == "send" else step.max_lateness.days


def refresh_statistics(*, added_rows: int) -> None:
    """Let Postgres look at the tables again after a plan that made them much larger, in a transaction of its own.

    It would do so by itself a minute later; until then it takes them for empty, and reads a million rows for each of a
    thousand.
    """
    with database.transaction() as connection:
        if database.rows(connection, "engine/statistics/grown.sql", added_rows=added_rows)[0].has_grown:
            database.run(connection, "engine/statistics/analyze.sql")


def lock(connection: Connection, journey: Journey, step: Step) -> None:
    """Let one transaction at a time select or plan a step; the lock ends with the transaction."""
    database.run(connection, "engine/outbox/lock_step.sql", journey=journey.name, step=step.name)


def counts_of_step(connection: Connection, run_id: int, step: Step) -> Counter[str]:
    """What became of a step's audience, by outcome: `queued`, `accepted`, `skipped: <reason>` ..."""
    found = database.rows(connection, "engine/outbox/counts_of_step.sql", run_id=run_id, step=step.name)
    return Counter({f"{row.outcome}: {row.reason}" if row.reason else row.outcome: row.people for row in found})


def expire_leases(connection: Connection) -> int:
    """Turn messages whose sender died into `uncertain`. Returns how many."""
    return database.run(connection, "engine/outbox/expire_leases.sql")


def claim(
    connection: Connection, context: RunContext, step: Step, *, shard: int, shards: int, chunk: int
) -> list[Row[Any]]:
    """Take up to `chunk` queued messages; the caller commits before it sends.

    Rows: message_id, attempt_id, customer_id, anchor, as_of, variables (JSON), send_state (`sending`, `skipped` when a
    rule forbids it by now, or `queued` while it is night for the person), reason, address, claimed_at (by the clock of
    Postgres).
    """
    cap_messages, cap_days = settings.frequency_cap(step.message.channel)
    quiet_from, quiet_until = settings.quiet_hours() or (None, None)
    return database.rows(
        connection,
        "engine/outbox/claim.sql",
        journey=context.journey.name,
        # Whoever comes back later on a day that is played is not known yet, whatever the clock shows.
        played_at=context.known_at if context.skew_days else None,
        step=step.name,
        channel=step.message.channel,
        **ids_of_shard(shard, shards),
        chunk=chunk,
        template_sha=rendering.template_sha(context.journey, step),
        lease_seconds=LEASE_SECONDS,
        cap_messages=cap_messages,
        cap_days=cap_days,
        quiet_from=quiet_from,
        quiet_until=quiet_until,
        hold_minutes=settings.email_hold_minutes() if step.message.channel == "email" else 0,
    )


def deferred(connection: Connection) -> list[Row[Any]]:
    """The steps with messages whose quiet hours are over, by the run that planned them, oldest first.

    Rows: journey, step, as_of, run_day, zone, run_type, skew_days.
    """
    return database.rows(connection, "engine/outbox/deferred.sql")


def waiting(connection: Connection, journey: Journey, step: Step, *, shard: int, shards: int) -> Row[Any]:
    """How many messages of a shard are still `waiting`, and how many of them are `postponed` by the provider alone."""
    found = database.rows(
        connection,
        "engine/outbox/waiting.sql",
        journey=journey.name,
        step=step.name,
        **ids_of_shard(shard, shards),
    )
    return found[0]


def ids_of_shard(shard: int, shards: int) -> dict[str, UUID]:
    """The first and the last message id of a shard; ids are digests, so that equal ranges hold equally many people."""
    first, after = (number * 2**128 // shards for number in (shard, shard + 1))
    return {"first_id": UUID(int=first), "last_id": UUID(int=after - 1)}


class Answer(NamedTuple):
    """What became of one attempt: the state the message goes to, why, and what the provider said."""

    claimed: Row[Any]
    send_state: str
    outcome: str
    reason: str | None
    receipt: Receipt


def answered(claimed: Row[Any], receipt: Receipt) -> Answer:
    """A provider's answer to one message."""
    reason = (receipt.provider_code or receipt.detail or None) if receipt.outcome == "rejected" else None
    return Answer(claimed, _STATE_AFTER[receipt.outcome], receipt.outcome, reason, receipt)


def left_out(claimed: Row[Any], reason: str, detail: str) -> Answer:
    """A message that was claimed and could not be made for its person: nothing left."""
    return Answer(claimed, "skipped", "skipped", reason, Receipt("rejected", detail=detail))


def settle(connection: Connection, answers: list[Answer], *, provider: str, started_at: datetime) -> set[str]:
    """Record answers in one statement; returns the ids of those that nobody else had decided."""
    if not answers:
        return set()
    numbers: dict[tuple[str, str, str | None, int], int] = {}
    answer_numbers = [
        # People who shared a request share the very same receipt.
        numbers.setdefault((answer.send_state, answer.outcome, answer.reason, id(answer.receipt)), len(numbers))
        for answer in answers
    ]
    database.run(connection, "engine/outbox/begin_settling.sql")
    different = list(dict(zip(answer_numbers, answers, strict=True)).values())
    (settled,) = database.rows(
        connection,
        "engine/outbox/settle.sql",
        provider=provider,
        started_at=started_at,
        message_ids=",".join([answer.claimed.message_id for answer in answers]),
        attempt_ids=",".join([answer.claimed.attempt_id for answer in answers]),
        answer_numbers=",".join(map(str, answer_numbers)),
        numbers=list(range(len(different))),
        send_states=[answer.send_state for answer in different],
        reasons=[answer.reason for answer in different],
        outcomes=[answer.outcome for answer in different],
        http_statuses=[answer.receipt.http_status for answer in different],
        provider_codes=[answer.receipt.provider_code for answer in different],
        provider_ids=[answer.receipt.provider_id for answer in different],
        details=[answer.receipt.detail for answer in different],
        retry_after_seconds=[_pause(answer) for answer in different],
    )
    return set(settled.message_ids.split(",")) if settled.message_ids else set()


def _pause(answer: Answer) -> float | None:
    """How long a message that was certainly not taken waits for its next try."""
    return answer.receipt.retry_after_seconds if answer.outcome == "retry" else None
