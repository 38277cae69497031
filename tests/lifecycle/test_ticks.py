"""Ticks: a journey that looks every few minutes has no days to miss, and every look decides about what is new (J-01)."""

from __future__ import annotations

import json
from datetime import date, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.dags.test_order_updates import PHONE, SWITCHED_ON, Updates, after
from tests.dags.test_order_updates import updates as updates
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import (
    as_of,
    backfills,
    declarations,
    health,
    journeys,
    missed_days,
    replay,
    runs,
    schedules,
    senders,
    stages,
    why,
)
from lifecycle.cli import cli
from lifecycle.errors import LifecycleError

TODAY = SWITCHED_ON.date()
FIVE_MINUTES = timedelta(minutes=5)


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"])
def test_a_day_is_whole_ticks_one_after_the_other_whatever_the_clocks_do(zone: str) -> None:
    for day in (date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 4), date(2026, 10, 25), date(2026, 11, 1)):
        instant, end = (at.astimezone(timezone.utc) for at in (as_of.midnight(day, zone), as_of.end_of(day, zone)))
        while instant < end:
            for within in (timedelta(0), FIVE_MINUTES - timedelta(microseconds=1)):
                found = as_of.tick_of(instant + within, FIVE_MINUTES, zone)
                assert found.astimezone(timezone.utc) == instant
            instant += FIVE_MINUTES
        assert instant == end
        assert as_of.last_tick(day, FIVE_MINUTES, zone) == end - FIVE_MINUTES


def test_a_run_executed_again_within_its_look_is_the_same_run() -> None:
    journey = journeys.load("order_updates").journey
    found = {
        runs.of_tick(journey, after(minutes), "Europe/London", now=after(60)).as_of for minutes in (5, 6.5, 9.99, 10)
    }
    assert found == {after(5), after(10)}
    late = runs.of_tick(journey, after(5), "Europe/London", now=after(5) + timedelta(days=4))
    assert (late.late_days, late.run_day) == (4, TODAY)
    with pytest.raises(LifecycleError, match="has not come"):
        runs.of_tick(journey, after(65), "Europe/London", now=after(60))
    # The clocks of scheduler and worker differ a little.
    assert runs.of_tick(journey, after(60), "Europe/London", now=after(59.5)).as_of == after(60)


@pytest.mark.parametrize("minutes", [0, 7, 45, 60, True, 2.5])
def test_minutes_that_do_not_divide_an_hour_are_refused(minutes: Any) -> None:
    with pytest.raises(LifecycleError, match="does not divide an hour"):
        schedules.every_cron(minutes)


def test_the_dag_file_is_read_alike_with_and_without_airflow() -> None:
    quick, whole = journeys.read("order_updates"), journeys.load("order_updates")
    assert declarations.read(Path("dags/order_updates.py")) is not None
    assert (quick.journey, quick.zone, quick.journey.tick) == (whole.journey, whole.zone, FIVE_MINUTES)


@pytest.mark.parametrize(
    ("more", "schedule", "tasks", "said"),
    [
        ("", "every(minutes=5, tz='UTC')", "add_updates", "looks every 5 minutes and is marketing"),
        (", kind='transactional'", "every(minutes=5, tz='UTC')", "add_tasks", "add_tasks does not fit the schedule"),
        (", kind='transactional'", "daily('10:00', tz='UTC')", "add_updates", "add_updates does not fit the schedule"),
        (", kind='transactional'", "every(minutes=7, tz='UTC')", "add_updates", "does not divide an hour"),
        (
            ", kind='transactional', ends_with=Suppress('all.sql', channel='sms', reason='over')",
            "every(minutes=5, tz='UTC')",
            "add_updates",
            "looks every 5 minutes and has a goal or an end",
        ),
    ],
)
def test_what_does_not_fit_a_look_every_few_minutes_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, schedule: str, tasks: str, said: str
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey("pings", more=more)
    text = (tmp_path / "dags" / "pings.py").read_text(encoding="utf-8")
    text = text.replace("add_tasks", tasks).replace("daily", schedule.partition("(")[0])
    project.write("dags/pings.py", text.replace(f'{schedule.partition("(")[0]}("10:00", tz="Europe/London")', schedule))
    with pytest.raises(LifecycleError, match=said):
        journeys.load("pings")


def test_no_day_of_it_is_ever_missed_and_a_backfill_says_so(updates: Updates) -> None:
    later = SWITCHED_ON + timedelta(days=10)
    assert missed_days.listed(updates.declared, later) == []
    with pytest.raises(LifecycleError, match="order_updates looks every few minutes and misses no day"):
        backfills.days_of(updates.declared, TODAY, TODAY, later)


def test_a_journey_that_stopped_looking_is_a_problem(updates: Updates) -> None:
    updates.look(after(30))
    assert health.problems(after(60)) == []
    (problem,) = health.problems(after(70))
    assert (problem.problem, problem.where, problem.since) == ("missed", "order_updates", after(30))
    updates.look(after(70))
    assert health.problems(after(70)) == []


def test_an_old_run_that_is_cleared_sends_nothing_twice_and_nothing_late(updates: Updates) -> None:
    updates.shop.order("ana", after(1))
    updates.look(after(5))
    journey, zone = updates.declared.journey, updates.declared.zone
    cleared = runs.of_tick(journey, after(5), zone, now=after(5) + timedelta(days=7))
    assert stages.look(cleared, senders.sandbox_channel) == {}
    # Found in its table a week late.
    updates.shop.order("ana", after(2))
    assert stages.look(cleared, senders.sandbox_channel)["confirmed_sms"] == {"accepted": 1, "skipped: stale": 1}
    assert len(updates.texts(PHONE)) == 1


def test_a_replay_finds_what_the_looks_of_the_days_would_have_sent(shop: Shop, sandbox: SandboxClient) -> None:
    shop.customer("ana")
    shop.order("ana", SWITCHED_ON - timedelta(days=2), order_id="before")
    shop.order("ana", SWITCHED_ON, order_id="1001", shipped_at=after(60), delivered_at=after(60 * 24))
    updates = Updates(shop, sandbox)
    rows = list(replay.with_policy(updates.declared, TODAY, TODAY + timedelta(days=2)))
    told = [(row.run_day, row.step, row.anchor) for row in rows if row.outcome == "would_send"]
    assert told == [
        (TODAY, "confirmed_email", "1001"),
        (TODAY, "confirmed_sms", "1001"),
        (TODAY, "shipped_email", "1001"),
        (TODAY, "shipped_sms", "1001"),
        (TODAY + timedelta(days=1), "delivered_email", "1001"),
        (TODAY + timedelta(days=1), "delivered_sms", "1001"),
    ]
    assert len(rows) == len(told)
    assert updates.rows("select count(*) from lifecycle.ticks") == [(0,)]


def test_why_tells_of_the_look_that_decided(updates: Updates) -> None:
    updates.shop.order("ana", after(1), order_id="1001")
    updates.look(after(5))
    rows = why.explain([updates.declared], "ana", None, after(600))
    decided = {row["step"]: (row["result"], row["value"]) for row in rows if row["rule"] == "decision"}
    assert decided["confirmed_sms"][0] == "accepted"
    assert decided["shipped_sms"][0] == "not due"
    picked = [row["value"] for row in rows if row["rule"] == "confirmed.sql" and row["step"] == "confirmed_sms"]
    assert picked[0].startswith("anchor 1001; selected by the manual run")


def test_the_command_line_looks_once(shop: Shop, sandbox: SandboxClient) -> None:
    day = TODAY.isoformat()
    shop.customer("ana", phone=PHONE)

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert ": nothing new" in said("run", "order_updates", "--as-of", (TODAY - timedelta(days=1)).isoformat())
    shop.order("ana", after(1), order_id="1001")
    planned = said("plan", "order_updates", "--as-of", day, "--format", "csv")
    assert "ana,confirmed_email,1001,would_send," in planned
    assert "1001" in said("audience", "order_updates/confirmed_sms", "--as-of", day, "--format", "csv")
    assert f"{day} confirmed_sms: 1 accepted" in said("run", "order_updates", "--as-of", day)
    assert f"looked at {day} 23:55 BST: nothing new" in said("run", "order_updates", "--as-of", day)
    (row,) = json.loads(
        said("report", "order_updates", "--from", day, "--to", day, "--format", "json").split("]")[0] + "]"
    )
    assert (row["due"], row["sent"]) == (2, 2)


def test_a_plan_says_that_more_people_than_the_cap_would_wait(
    updates: Updates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_AUDIENCE_CAP", "1")
    for _ in range(2):
        updates.shop.order("ana", after(1))
    context = runs.of_tick(updates.declared.journey, after(5), updates.declared.zone, now=after(5))
    assert {(row.outcome, row.reason) for row in replay.plan(context)} == {("held", "2 people, above the cap of 1")}
