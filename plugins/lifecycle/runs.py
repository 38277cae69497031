"""Runs: one per journey and instant, however often it is executed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lifecycle import as_of as as_of_module
from lifecycle import database, settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey


@dataclass(frozen=True)
class RunContext:
    """What every part of a run needs to know: which journey, for which instant, in which zone.

    `skew_days` is how many whole days the run day lies before the day the run is executed on. It is 0 for every run of
    Airflow; only `lifecycle run` plays another day as if it were today, and clicks on its messages count on that day.
    """

    journey: Journey
    as_of: datetime
    zone: str
    run_type: str = "manual"
    skew_days: int = 0

    @property
    def run_day(self) -> date:
        """The local day the run is for."""
        return as_of_module.run_day(self.as_of, self.zone)


def for_day(
    journey: Journey, day: date, zone: str, *, run_type: str = "manual", today: date | None = None
) -> RunContext:
    """The run of a local day; with `today` the day is played as if it were today (see `RunContext.skew_days`)."""
    skew_days = (today - day).days if today else 0
    return RunContext(journey, as_of_module.midnight(day, zone), zone, run_type, skew_days)


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
