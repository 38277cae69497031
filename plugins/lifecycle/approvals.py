"""Approvals: an unusual audience is written to only after a person has said so.

Unusual is: above the cap, more than three times what the step has on that weekday, or nobody where there is always
somebody. An approval is for one audience; when it is selected anew and differs, the approval counts no more. Whoever is
held is neither planned nor entered, so that a mended segment finds them as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from lifecycle import database, settings
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step
    from lifecycle.runs import RunContext

Decision = Literal["approved", "rejected", "timed_out"]

TIMES_THE_USUAL = 3
NEVER_HELD_UP_TO = 200
NEVER_EMPTY_FROM = 50


class Held(NamedTuple):
    """An audience that waits for a person: how many, a number that tells it from any other, and what is unusual."""

    step: str
    people: int
    fingerprint: str
    why: str


class AudienceHeldError(LifecycleError):
    """Nobody gets a step before a person approves of its audience."""


def held(connection: Connection, run_id: int, context: RunContext, step: Step) -> Held | None:
    """The audience of a step when it is unusual and nobody has approved of it, else None.

    Where nobody would be written to, because the day is too late for the step, nobody is asked either.
    """
    if step.when_late == "skip" and context.late_days > step.max_lateness.days:
        return None
    found = database.rows(connection, "engine/approvals/size.sql", run_id=run_id, step=step.name)
    unusual = what_is_unusual(found[0].people, found[0].usual) if found else ""
    if not unusual:
        return None
    which = {"run_id": run_id, "step": step.name}
    (audience,) = database.rows(connection, "engine/approvals/fingerprint.sql", **which)
    waiting = Held(step.name, found[0].people, audience.fingerprint, f"{unusual} on {found[0].run_day:%A, %Y-%m-%d}")
    (known,) = database.rows(connection, "engine/approvals/is_approved.sql", **which, **_audience_of(waiting))
    return None if known.is_approved else waiting


def what_is_unusual(people: int, usual: float | None) -> str:
    """What is unusual about an audience of that many people, where `usual` is how many it has; empty when nothing is.

    Without a past of its own a step is unusual above the cap only.
    """
    cap = settings.audience_cap()
    if people > cap:
        return f"{people:,} people, above the cap of {cap:,}"
    if usual is None:
        return ""
    if people > TIMES_THE_USUAL * usual and people > NEVER_HELD_UP_TO:
        return f"{people:,} people where {usual:,.0f} are usual"
    if not people and usual >= NEVER_EMPTY_FROM:
        return f"nobody where {usual:,.0f} are usual"
    return ""


def hold(connection: Connection, run_id: int, waiting: Held) -> None:
    """Remember that an audience waits, for the report."""
    database.run(
        connection,
        "engine/approvals/hold.sql",
        run_id=run_id,
        step=waiting.step,
        why=waiting.why,
        **_audience_of(waiting),
    )


def decide(connection: Connection, run_id: int, waiting: Held, decision: Decision, by: str) -> None:
    """Record what a person, `by` name, said about an audience that is held."""
    values = {"run_id": run_id, "step": waiting.step, "decision": decision, "decided_by": by}
    database.run(connection, "engine/approvals/decide.sql", **values, **_audience_of(waiting))


def require(connection: Connection, run_id: int, context: RunContext, step: Step) -> None:
    """Refuse to go on with an audience that is held; called in the transaction that plans, so that nothing comes between.

    Raises:
        AudienceHeldError: it is unusual, and nobody approved of exactly these people.
    """
    waiting = held(connection, run_id, context, step)
    if waiting:
        raise held_error(context, [waiting])


def held_error(context: RunContext, waiting: list[Held], hint: str = "") -> AudienceHeldError:
    """The line about audiences of a run that nobody approved of."""
    journey = context.journey.name
    what = "; ".join(f"{journey}/{one.step} has {one.why}" for one in waiting)
    return AudienceHeldError(
        f"{what}: nobody gets it until a person approves",
        hint=hint or "Approve or mend it as docs/how-to/approve-an-audience.md says",
    )


def command(context: RunContext, waiting: list[Held]) -> str:
    """How to look at audiences that are held, and how to approve of them without Airflow."""
    journey, day = context.journey.name, f"--as-of {context.run_day}"
    yes = " ".join(f"--approve {one.step}={one.people}" for one in waiting)
    return (
        f"See who: lifecycle audience {journey}/{waiting[0].step} {day}. Send it: lifecycle run {journey} {day} {yes}"
    )


def parse(journey: Journey, given: Iterable[str]) -> dict[str, int]:
    """What was approved of on the command line, such as `survey=1240`: the step, and the people of its audience.

    Raises:
        LifecycleError: it is no step of the journey, or no number.
    """
    approved = {}
    for one in given:
        step, _, people = one.partition("=")
        if not people.isdecimal():
            raise LifecycleError(f"--approve {one} has no count", hint="Write it as --approve survey=1240")
        approved[journey.step(step).name] = int(people)
    return approved


def refused_error(context: RunContext, waiting: Held, decision: Decision, by: str) -> AudienceHeldError:
    """The line about an audience that a person refused, or that nobody answered for in time."""
    said = "nobody answered in time" if decision == "timed_out" else f"{by or 'a person'} said no"
    return AudienceHeldError(
        f"{context.journey.name}/{waiting.step} has {waiting.why}, and {said}: nothing of it is sent",
        hint="Mend the segment if it is wrong, then clear select_audience to be asked again; "
        "see docs/how-to/approve-an-audience.md",
    )


def question(context: RunContext, waiting: Held) -> str:
    """What a person has to know before they answer, in Markdown; nobody is named."""
    step = f"{context.journey.name}/{waiting.step}"
    return (
        f"**{step}** has {waiting.why} (audience {waiting.fingerprint}).\n\n"
        f"See who they are: `lifecycle audience {step} --as-of {context.run_day}`\n\n"
        "**Approve** sends to exactly these people. **Reject**, or no answer in time, sends nothing."
    )


def _audience_of(waiting: Held) -> dict[str, object]:
    return {"people": waiting.people, "fingerprint": waiting.fingerprint}
