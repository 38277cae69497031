"""Health: a missed day, a paused channel or a stuck message makes the daily look fail, with what mends it."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
from tests.lifecycle.test_missed_days import Ladder
from tests.shop import Shop

from lifecycle import controls, health, journeys
from lifecycle.errors import LifecycleError

ON_THE_FOURTH = datetime(2026, 3, 4, 9, tzinfo=timezone.utc)


@pytest.fixture
def ladder(shop: Shop) -> Ladder:
    """The ladder, switched on on the 1st and run on the 3rd; the 2nd was missed, and one person was due on it."""
    shop.customer("silent")
    shop.order("silent", date(2026, 1, 31))
    ladder = Ladder(shop)
    for day in (date(2026, 3, 1), date(2026, 3, 3)):
        ladder.run(day, today=day)
    return ladder


def test_a_missed_day_is_a_problem_with_the_command_that_repairs_it(ladder: Ladder) -> None:
    (problem,) = health.problems(ON_THE_FOURTH)
    assert (problem.problem, problem.where, problem.messages) == ("missed", "reactivation", 1)
    assert problem.look_at == "lifecycle backfill reactivation --from 2026-03-02 --to 2026-03-02"
    ladder.run(date(2026, 3, 2), today=date(2026, 3, 4))
    assert health.problems(ON_THE_FOURTH) == []


def test_the_daily_look_fails_in_one_line_per_problem(ladder: Ladder) -> None:
    controls.set_state("sms", "paused", "a wrong price")
    with pytest.raises(LifecycleError) as failed:
        health.require(ON_THE_FOURTH)
    first, missed, paused = str(failed.value).splitlines()
    assert first.startswith("2 things wait for a person")
    assert missed.startswith("reactivation: missed, no run ended for 2026-03-02; see: lifecycle backfill")
    assert paused.startswith("sms: paused")


def test_a_run_has_two_hours_before_its_day_counts_as_missed(ladder: Ladder) -> None:
    ladder.run(date(2026, 3, 2), today=date(2026, 3, 4))
    assert health.require(datetime(2026, 3, 4, 11, 59, tzinfo=timezone.utc)) == len(journeys.names())
    with pytest.raises(LifecycleError, match="no run ended for 2026-03-04"):
        health.require(datetime(2026, 3, 4, 12, 1, tzinfo=timezone.utc))
