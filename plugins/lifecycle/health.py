"""Health: what waits for a person in any journey, missed days included."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lifecycle import as_of, journeys, missed_days, reports, ticks, voucher_pools
from lifecycle.errors import LifecycleError
from lifecycle.reports import Problem

if TYPE_CHECKING:
    from lifecycle.missed_days import Missed

# So long a run may take before its day counts as missed.
GRACE = timedelta(hours=2)


def problems(now: datetime) -> list[Problem]:
    """Everything that waits for a person, of all journeys: missed days first, then what `reports.problems` knows, and
    voucher pools that run out.

    A journey whose Dag file does not load is not asked about missed days; `lifecycle check` says why it does not.
    """
    found: list[Problem] = []
    for name in journeys.names():
        try:
            declared = journeys.load(name)
        except LifecycleError:
            continue
        found += [_problem(span, declared.zone) for span in missed_days.listed(declared, now - GRACE)]
        if since := ticks.silent_since(declared, now):
            found.append(_silent(name, since))
    return found + reports.problems() + voucher_pools.problems(now)


def require(now: datetime) -> int:
    """Fail when anything waits for a person. Returns how many journeys were asked.

    Raises:
        LifecycleError: one line per problem, each with the command or page that mends it.
    """
    found = problems(now)
    if found:
        lines = [f"{one.where}: {one.problem}, {one.why}; see: {one.look_at}" for one in found]
        raise LifecycleError("\n".join([f"{len(found)} things wait for a person", *lines]))
    return len(journeys.names())


def _problem(span: Missed, zone: str) -> Problem:
    days = (span.last - span.first).days + 1
    when = f"{span.first}" if days == 1 else f"{span.first} to {span.last}"
    since = as_of.midnight(span.first, zone)
    return Problem("missed", span.journey, span.people, since, f"no run ended for {when}", span.repair())


def _silent(journey: str, since: datetime) -> Problem:
    why = "it looks every few minutes, and has not since then"
    return Problem("missed", journey, 0, since, why, f"the Dag {journey} in the Airflow UI: is it paused, or failing?")
