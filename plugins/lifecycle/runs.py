"""Runs: one per journey and instant, however often it is executed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lifecycle import as_of as as_of_module
from lifecycle import database, settings
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey


# So much may the clock of a worker be behind that of the scheduler.
_CLOCKS_DIFFER = timedelta(minutes=1)


@dataclass(frozen=True)
class RunContext:
    """What every part of a run needs to know: which journey, for which instant, in which zone.

    `as_of` is the midnight of the run day or, for a journey that looks every few minutes, the instant of the look.
    `late_days` is how many days after its own day the run is executed: 0 in its time, more when it repairs a missed day.
    `skew_days` is how far the day it counts as being executed on lies behind the clock: a day that is played as if it
    were today is not late, and clicks on its messages count on the played day.
    """

    journey: Journey
    as_of: datetime
    zone: str
    run_type: str = "manual"
    late_days: int = 0
    skew_days: int = 0

    @property
    def run_day(self) -> date:
        """The local day the run is for."""
        return as_of_module.run_day(self.as_of, self.zone)

    @property
    def today(self) -> date:
        """The local day the run counts as being executed on; its own day, unless it is late."""
        return self.run_day + timedelta(days=self.late_days)

    @property
    def known_at(self) -> datetime:
        """The midnight of `today`: a late run knows who converted since its own day, so that nobody is chased.

        A journey that looks every few minutes knows what is known at its own instant.
        """
        return max(self.as_of, as_of_module.midnight(self.today, self.zone))

    def of_day(self, day: date, *, run_type: str) -> RunContext:
        """The run of another day of the journey, late when this one is, else played as if it were today."""
        today = self.today if self.late_days else day
        clock = self.today + timedelta(days=self.skew_days)
        return for_day(self.journey, day, self.zone, run_type=run_type, today=today, clock=clock)


def instant_of(journey: Journey, day: date, zone: str, now: datetime | None = None) -> datetime:
    """The instant that the run of a local day answers for: its first midnight.

    For a journey that looks every few minutes it is its newest look on that day: the one before `now` on the day of
    `now`, the last one of any other day.
    """
    if not journey.tick:
        return as_of_module.midnight(day, zone)
    if now and as_of_module.run_day(now, zone) == day:
        return as_of_module.tick_of(now, journey.tick, zone)
    return as_of_module.last_tick(day, journey.tick, zone)


def for_day(
    journey: Journey,
    day: date,
    zone: str,
    *,
    run_type: str = "manual",
    today: date | None = None,
    clock: date | None = None,
    now: datetime | None = None,
) -> RunContext:
    """The run of a local day, which counts as executed on `today` while the `clock` shows another day.

    Without `today` the day is played as if it were today; without `clock` the clock shows the day it counts as. `now`
    says which look of the day it is where there are many (`instant_of`).
    """
    today = today or day
    late_days = max(0, (today - day).days)
    skew_days = (clock - today).days if clock else 0
    return RunContext(journey, instant_of(journey, day, zone, now), zone, run_type, late_days, skew_days)


def of_tick(journey: Journey, instant: datetime, zone: str, *, now: datetime, run_type: str = "manual") -> RunContext:
    """The run of a journey's look at an instant, executed `now`; executed again within the look it is the same run.

    Raises:
        LifecycleError: the instant lies ahead.
    """
    assert journey.tick
    if instant > now + _CLOCKS_DIFFER:
        raise LifecycleError(f"{instant:%Y-%m-%d %H:%M %Z} has not come", hint="Leave the date out to look now")
    as_of = as_of_module.tick_of(instant, journey.tick, zone)
    late_days = (as_of_module.run_day(now, zone) - as_of_module.run_day(as_of, zone)).days
    return RunContext(journey, as_of, zone, run_type, max(0, late_days))


def executed_now(
    journey: Journey, day: date, zone: str, *, now: datetime, run_type: str = "manual", as_if_today: bool = False
) -> RunContext:
    """The run of a local day that is executed `now`: late when the day is over, unless it is played as if it were today.

    Raises:
        LifecycleError: the day has not begun, or a day is played while real people would be messaged.
    """
    clock = as_of_module.run_day(now, zone)
    if as_if_today:
        if settings.is_live() and day != clock:
            hint = "Run it without; to try a day out, unset LIFECYCLE_LIVE"
            raise LifecycleError(f"{day} is played as if it were today, and real people would be messaged", hint=hint)
        return for_day(journey, day, zone, run_type=run_type, clock=clock, now=now)
    if day > clock:
        raise LifecycleError(f"{day} has not begun in {zone}", hint=f"Run a day up to {clock}")
    return for_day(journey, day, zone, run_type=run_type, today=clock, now=now)


def open_run(connection: Connection, context: RunContext) -> int:
    """Open the run, or open it again, and fix the transaction's `as_of()`. Returns the run id."""
    database.set_as_of(connection, context.as_of, context.zone)
    opened = database.rows(
        connection,
        "engine/runs/open.sql",
        journey=context.journey.name,
        as_of=context.as_of,
        run_day=context.run_day,
        zone=context.zone,
        run_type=context.run_type,
        late_days=context.late_days,
        skew_days=context.skew_days,
        git_sha=git_sha(),
    )
    return opened[0].run_id


def enter(connection: Connection, context: RunContext) -> int:
    """Fix the transaction's `as_of()` and find the run, opening it when its first task was skipped."""
    database.set_as_of(connection, context.as_of, context.zone)
    found = database.rows(connection, "engine/runs/find.sql", journey=context.journey.name, as_of=context.as_of)
    return found[0].run_id if found else open_run(connection, context)


def finish(connection: Connection, run_id: int, counts: dict[str, Any]) -> None:
    """Close the run with what it did."""
    database.run(connection, "engine/runs/finish.sql", run_id=run_id, counts=json.dumps(counts))


@lru_cache(maxsize=1)
def git_sha() -> str:
    """The revision the run was made with, or an empty string outside a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(settings.project_root()), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
