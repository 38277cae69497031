"""Backfills: missed days, repaired through Airflow, with what they will do said before and what they did said after.

Airflow's own backfill gives the same result; what it does not say is said here. It queues the runs of a paused Dag for
ever, calls a backfill with failed runs completed, and strands the runs of a cancelled one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lifecycle import as_of, database, replay, runs, schedules
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from lifecycle.airflow_api import AirflowApi
    from lifecycle.journeys import Declared

ENDED = frozenset({"success", "failed"})
# A day of a big journey takes minutes; a backfill that nobody works on is noticed by its runs not starting.
_DAY_TIMEOUT_SECONDS = 3600
_LOOK_EVERY_SECONDS = 1.0
_SILENCE_SECONDS = 180

# Called with the states of the runs, by local day, whenever they were looked at.
Watch = Callable[[dict[date, str]], None]


@dataclass
class PlannedDay:
    """What the repair of a day will do: people by what becomes of them."""

    run_day: date
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def sends(self) -> int:
        """How many people will get a message."""
        return self.outcomes["would_send"]

    @property
    def other_skips(self) -> int:
        """How many are skipped for any other reason than being late or superseded."""
        known = ("would_send", "already_decided", "stale", "superseded")
        return sum(people for outcome, people in self.outcomes.items() if outcome not in known)


def days_of(declared: Declared, first: date, last: date, now: datetime) -> list[date]:
    """The days of the schedule in a range that can be run.

    Raises:
        LifecycleError: the range is none, is too long, has no day of the schedule, or reaches into the future.
    """
    as_of.days_between(first, last)
    journey = declared.journey
    if journey.tick:
        hint = f"Its next run sends what a missed one would have; to see it: lifecycle plan {journey.name}"
        raise LifecycleError(f"{journey.name} looks every few minutes and misses no day", hint=hint)
    if not journey.cron:
        raise LifecycleError(f"{journey.name} has no schedule", hint="Only days of a schedule are missed, or repaired")
    newest = schedules.last_run_day(journey.cron, declared.zone, now)
    if last > newest:
        raise LifecycleError(f"{last} has not come yet for {journey.name}", hint=f"Give --to {newest} or earlier")
    days = schedules.run_days(journey.cron, first, last)
    if not days:
        raise LifecycleError(f"{journey.name} does not run between {first} and {last}", hint="Look at its schedule")
    return days


def plan(declared: Declared, days: list[date], now: datetime) -> list[PlannedDay]:
    """What the repair of these days now would do, day by day; writes nothing."""
    today = as_of.run_day(now, declared.zone)
    contexts = [
        runs.for_day(declared.journey, day, declared.zone, run_type="backfill", today=today, clock=today)
        for day in days
    ]
    planned = {day: PlannedDay(day) for day in days}
    for row in replay.repairs(contexts):
        outcome = row.reason if row.reason in ("stale", "superseded") else row.outcome
        planned[row.run_day].outcomes[outcome] += 1
    return list(planned.values())


def done_days(declared: Declared, days: list[date]) -> set[date]:
    """The days of these that a run ended for already."""
    span = {"journey": declared.journey.name, "from_day": days[0], "to_day": days[-1]}
    with database.transaction() as connection:
        return {row.run_day for row in database.rows(connection, "engine/missed_days/executed.sql", **span)}


def require_ready(api: AirflowApi, declared: Declared) -> None:
    """Refuse to begin where Airflow would wait for ever without a word.

    Raises:
        LifecycleError: the Dag is unknown or paused, or runs of a cancelled backfill are stranded.
    """
    name = declared.journey.name
    dag = api.wait_for_dag(name)
    if dag["is_paused"]:
        hint = f"Unpause it in the Airflow UI, or with: airflow dags unpause {name}"
        raise LifecycleError(f"The Dag {name} is paused: Airflow would queue its backfill for ever", hint=hint)
    if not api.has_active_backfill(name):
        stranded = sorted(
            _local_day(run, declared.zone) for run in api.dag_runs(name, state="queued", run_type="backfill")
        )
        if stranded:
            # Known bug of Airflow 3.3.2 (apache/airflow#72337): it skips such a run as being in flight.
            days = ", ".join(map(str, stranded))
            hint = "Mark them as failed in the Airflow UI (Dag, Runs), then repeat the command"
            raise LifecycleError(f"A cancelled backfill left the runs of {days} queued for ever", hint=hint)


def run(
    api: AirflowApi,
    declared: Declared,
    days: list[date],
    *,
    again: bool = False,
    conf: dict[str, Any] | None = None,
    watch: Watch = lambda _: None,
) -> None:
    """Run the days in Airflow, one at a time, and wait until the last of them ended.

    Days that ended well are left alone, failed ones are run again; with `again` all are. What was decided for somebody
    stays decided, whichever is chosen.

    Raises:
        LifecycleError: runs failed (all days had their turn), or no run makes progress for an hour.
    """
    name = declared.journey.name
    before = {_local_day(run, declared.zone): run for run in api.dag_runs(name)}
    kept = set() if again else {day for day in days if before.get(day, {}).get("state") == "success"}
    todo = [day for day in days if day not in kept]
    if not todo:
        return
    # An hour of the clock on the wall may not exist, or come twice: the whole local days are asked for.
    first = as_of.midnight(todo[0], declared.zone)
    last = as_of.midnight(todo[-1] + timedelta(days=1), declared.zone) - timedelta(seconds=1)
    api.create_backfill(name, first, last, reprocess_behavior="completed" if again else "failed", conf=conf)
    attempts = {day: _attempt(before.get(day, {})) for day in todo}
    failed = _wait(api, declared, attempts, watch)
    if failed:
        raise LifecycleError(
            f"Airflow failed the run of {', '.join(map(str, failed))}",
            hint=f"Open the Dag {name} in its UI, read the log of the failed task, mend it, and repeat the command",
        )


def _wait(api: AirflowApi, declared: Declared, attempts: dict[date, str], watch: Watch) -> list[date]:
    """Wait until every day has ended in a new attempt; returns those that failed."""
    states: dict[date, str] = {}
    changed_at = answered_at = time.monotonic()
    while True:
        try:
            found = {_local_day(run, declared.zone): run for run in api.dag_runs(declared.journey.name)}
        except LifecycleError:
            # A busy Airflow misses a question now and then, and goes on with the runs.
            if time.monotonic() - answered_at > _SILENCE_SECONDS:
                raise
            time.sleep(_LOOK_EVERY_SECONDS)
            continue
        answered_at = time.monotonic()
        now = {day: _state(found.get(day, {}), attempt) for day, attempt in attempts.items()}
        if now != states:
            states, changed_at = now, time.monotonic()
        watch(states)
        if set(states.values()) <= ENDED:
            return [day for day, state in states.items() if state == "failed"]
        if time.monotonic() - changed_at > _DAY_TIMEOUT_SECONDS:
            raise LifecycleError("No run has ended for an hour", hint="Look at the Dag's runs in the Airflow UI")
        time.sleep(_LOOK_EVERY_SECONDS)


def _attempt(run: dict[str, Any]) -> str:
    """What tells an execution of a run that ended from the next: when it started; empty while it did not end.

    A run that Airflow is at already, such as the one it starts when a Dag is unpaused, is this day's run: Airflow leaves it
    out of the backfill as being in flight, and its end is waited for.
    """
    return str(run["start_date"] or "") if run.get("state") in ENDED else ""


def _state(run: dict[str, Any], before: str) -> str:
    """The state of a run, or `waiting` while it is still the one of before."""
    if not run or (run["state"] in ENDED and _attempt(run) == before):
        return "waiting"
    return str(run["state"])


def _local_day(run: dict[str, Any], zone: str) -> date:
    text = str(run["logical_date"] or run["run_after"])
    return as_of.run_day(datetime.fromisoformat(text.replace("Z", "+00:00")), zone)
