"""The product as its user starts it: one command, a real Airflow, a real Postgres, real SDKs into the sandbox.

With the UCI data beside the checkout the runs are held against its independent truth; without it the made-up shop is
used, and the same promises are held against what the segments pick.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import psycopg
import pytest

from lifecycle import as_of, backfills, evidence, journeys
from lifecycle.airflow_api import AirflowApi
from tests.conftest import PROJECT
from tests.sandbox_client import SandboxClient

pytestmark = pytest.mark.needs_processors
UCI = PROJECT.parent / "shared" / "data" / "uci"
# Whatever the hour, a day before the killed one is then no older than three days: it is sent, and is a witness.
DAYS = 1
# How long anything may take, in seconds: the machine may have much else to do.
PATIENCE = 600
STEP_DAYS = {"30": "survey", "60": "contest", "90": "coupon"}


@dataclass
class Demo:
    """A demo that ran to its printed table and is still up."""

    home: Path
    environment: dict[str, str]
    printed: str
    connection: psycopg.Connection[Any]
    sandbox: SandboxClient
    api: AirflowApi

    def command(self, *words: str) -> str:
        """The output of a lifecycle command in the demo's home."""
        return lifecycle(self.environment, *words)

    def command_notes(self, *words: str) -> str:
        """What a lifecycle command says beside its output."""
        return _answer(self.environment, *words).stderr

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the lifecycle database says."""
        return self.connection.execute(query.encode()).fetchall()

    def decided(self) -> set[tuple[date, str, str]]:
        """Run day, step and customer of everything that was sent or skipped."""
        return set(
            self.rows(
                "select run_day, step, customer_id from lifecycle.messages where send_state in ('accepted', 'skipped')"
            )
        )

    def wait_for_state(self, run_id: str, state: str) -> None:
        """Wait until a run of the Dag is in a state."""
        deadline = time.monotonic() + PATIENCE
        while not any(
            run["dag_run_id"] == run_id and run["state"] == state for run in self.api.dag_runs("reactivation")
        ):
            assert time.monotonic() < deadline, f"{run_id} never was {state}"
            time.sleep(0.5)

    def wait_for_rows(self, query: str) -> None:
        """Wait until the lifecycle database answers a query with a row."""
        deadline = time.monotonic() + PATIENCE
        while not self.rows(query):
            assert time.monotonic() < deadline, f"never a row: {query}"
            time.sleep(0.1)

    def kill_scheduler(self) -> None:
        """End Airflow's scheduler and the tasks it runs, as a power failure does."""
        scheduler = psutil.Process(json.loads((self.home / "run" / "airflow-scheduler.json").read_text())["pid"])
        for process in [*scheduler.children(recursive=True), scheduler]:
            process.kill()

    def wait_for_runs(self, since: datetime) -> list[dict[str, Any]]:
        """The Dag's runs that began again, when there is one and none of all is queued or running any more."""
        deadline = time.monotonic() + PATIENCE
        while True:
            runs = self.api.dag_runs("reactivation")
            again = [run for run in runs if _began(run) >= since]
            if again and all(run["state"] in ("success", "failed") for run in runs):
                return again
            states = [(run["dag_run_id"], run["state"]) for run in runs]
            assert time.monotonic() < deadline, f"runs did not end: {states}"
            time.sleep(2)


def lifecycle(environment: dict[str, str], *words: str) -> str:
    """Run the installed command line and return what it printed."""
    answer = _answer(environment, *words)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def lifecycle_fails(environment: dict[str, str], *words: str) -> str:
    """Run the installed command line, which refuses with one line; returns the line."""
    answer = _answer(environment, *words)
    assert answer.returncode == 2, answer.stdout + answer.stderr
    return answer.stderr


def _answer(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lifecycle.cli", *words]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


def _began(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat((run["start_date"] or "1970-01-01T00:00:00+00:00").replace("Z", "+00:00"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`bin/demo` for a day; everything it started is stopped at the end, and that is checked."""
    home = tmp_path_factory.mktemp("demo")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("LIFECYCLE_", "AIRFLOW"))}
    environment = outer | {"LIFECYCLE_HOME": str(home), "COLUMNS": "120"}
    try:
        printed = lifecycle(environment, "demo", "--days", str(DAYS), *_data())
        airflow = re.search(r"Airflow\s+(\S+)\s+\(login (\S+) / (\S+)\)", printed)
        inbox = re.search(r"Sandbox inbox\s+(\S+)", printed)
        assert airflow, printed
        assert inbox, printed
        with psycopg.connect(lifecycle(environment, "db", "url").strip(), autocommit=True) as connection:
            yield Demo(
                home,
                environment,
                printed,
                connection,
                SandboxClient(inbox[1]),
                AirflowApi(airflow[1], airflow[2], airflow[3]),
            )
    finally:
        pids = _pids_under(home)
        lifecycle(environment, "down")
        assert pids, "the demo ran no process at all"
        assert not _pids_under(home), "something that the demo started is still running"
        _remove_database(environment)


def _data() -> list[str]:
    return ["--data", str(UCI), "--shift-to-today"] if UCI.is_dir() else []


def _first_day(demo: Demo) -> date:
    """The first run day that was played, and not recorded as missed."""
    return min(day for (day,) in demo.rows("select run_day from lifecycle.runs where run_type <> 'missed'"))


def _pids_under(home: Path) -> set[int]:
    """Every process whose environment names the home, the test itself and its zombies aside."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"LIFECYCLE_HOME={home}\0".encode() in environment + b"\0" and int(folder.name) != os.getpid():
            found.add(int(folder.name))
    return found


def _remove_database(environment: dict[str, str]) -> None:
    code = "from lifecycle import embedded_postgres; embedded_postgres.remove()"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=PROJECT, check=True)


def test_the_table_adds_up_and_agrees_with_what_arrived(demo: Demo) -> None:
    printed = re.findall(r"│ (\d{4}-\d\d-\d\d) │\s+(\d+) │\s+(\d+) │\s+(\d+) │", demo.printed)
    assert len(printed) == DAYS
    assert all(int(due) == int(sent) + int(skipped) for _, due, sent, skipped in printed)
    assert sum(int(sent) for *_, sent, _ in printed) == len(demo.sandbox.messages()) > 0


def test_what_was_sent_or_skipped_is_exactly_who_was_due(demo: Demo) -> None:
    days = {day for (day,) in demo.rows("select run_day from lifecycle.runs where run_type <> 'missed'")}
    assert len(days) == DAYS
    assert {decision for decision in demo.decided() if decision[0] in days} == _truth(demo, days)


def _truth(demo: Demo, days: set[date]) -> set[tuple[date, str, str]]:
    if UCI.is_dir():
        shift = datetime.now(timezone.utc).date() - timedelta(days=1) - date(2011, 12, 9)
        with (UCI / "truth" / "ladder_members.csv").open() as file:
            members = [
                (date.fromisoformat(row["run_day"]) + shift, STEP_DAYS[row["step_days"]], row["customer_id"])
                for row in csv.DictReader(file)
            ]
        return {member for member in members if member[0] in days}
    printed = demo.command(
        "replay", "reactivation", "--no-policy", "--format", "csv", "--from", str(min(days)), "--to", str(max(days))
    )
    rows = csv.DictReader(printed.splitlines())
    return {(date.fromisoformat(row["run_day"]), row["step"], row["customer_id"]) for row in rows}


def test_the_three_addresses_answer(demo: Demo) -> None:
    from urllib.request import Request, urlopen

    landing = re.search(r"Landing page\s+(\S+)", demo.printed)
    assert landing, demo.printed
    phone = Request(landing[1], headers={"User-Agent": "Mozilla/5.0 (iPhone) Mobile Safari"})
    with urlopen(phone) as answer:
        assert answer.status == 200
    with urlopen(demo.sandbox.url) as answer:
        assert b"<html" in answer.read()
    clicks = demo.rows("select count(*) from lifecycle.engagements where kind = 'click' and not is_machine")
    assert clicks == [(1,)]


def test_clearing_tasks_and_running_the_days_again_sends_nothing_twice(demo: Demo) -> None:
    before, decided, digest = _arrivals(demo), demo.decided(), demo.command("report", "--digest")
    (run,) = demo.api.dag_runs("reactivation")
    cleared = datetime.now(timezone.utc)
    demo.api.clear_task("reactivation", run["dag_run_id"], ["survey.send"])
    _wait_until_idle(demo)
    demo.api.clear_task("reactivation", run["dag_run_id"], ["survey.queue_messages"], downstream=True)
    _wait_until_idle(demo)
    again = datetime.now(timezone.utc)
    assert again > cleared
    demo.api.create_backfill("reactivation", run["logical_date"], run["logical_date"], reprocess_behavior="completed")
    assert {run["state"] for run in demo.wait_for_runs(again)} == {"success"}
    assert _arrivals(demo) == before
    assert demo.decided() == decided
    assert demo.command("report", "--digest") == digest


def test_a_scheduler_killed_while_the_provider_has_the_messages_sends_nothing_twice(demo: Demo) -> None:
    """Reliability G6, on the day before the demo's: Airflow runs the task again, which never learned what arrived."""
    arrived, day = len(demo.sandbox.messages()), _first_day(demo) - timedelta(days=1)
    demo.sandbox.slow_down(10_000)
    midnight = as_of.midnight(day, journeys.load("reactivation").zone)
    demo.api.create_backfill("reactivation", midnight, midnight + timedelta(hours=23))
    deadline = time.monotonic() + PATIENCE
    while len(demo.sandbox.messages()) == arrived:
        assert time.monotonic() < deadline, "nothing ever arrived"
        time.sleep(0.1)
    demo.kill_scheduler()
    messages = f"from lifecycle.messages where run_day = '{day}'"
    ((unknown,),) = demo.rows(f"select count(*) {messages} and send_state = 'sending'")
    assert unknown > 0
    demo.sandbox.behave()
    demo.wait_for_rows(f"select 1 {messages} having bool_and(lease_until is null or lease_until < now())")
    demo.command("demo", "--days", str(DAYS), *_data())
    _wait_until_idle(demo)
    # Nobody is sent anything again until the provider was asked; that is once its answers cannot be under way any more.
    demo.wait_for_rows(
        "select 1 from lifecycle.attempts where outcome = 'lost' "
        f"having max(started_at) < now() - interval '{evidence.SETTLE_AFTER_SECONDS + 1} seconds'"
    )
    _send_again(demo, day)
    states = _states(demo, day)
    assert states["accepted"] == len(demo.sandbox.messages()) - arrived
    assert set(states) <= {"accepted", "uncertain"}


def test_missed_days_are_repaired_by_one_command(demo: Demo) -> None:
    """The days before the demo's, oldest first; what is more than three days ago is recorded and not sent."""
    today = datetime.now(ZoneInfo("Europe/London")).date()
    first_run = _first_day(demo)
    first, last = (str(first_run - timedelta(days=days)) for days in (2, 1))
    span = ("reactivation", "--from", first, "--to", last)
    demo.api.pause("reactivation")
    refused = lifecycle_fails(demo.environment, "backfill", *span, "--yes")
    assert "The Dag reactivation is paused: Airflow would queue its backfill for ever" in refused
    demo.api.unpause("reactivation")
    planned = re.findall(r"^(\S+) +(\d+) ", demo.command("backfill", *span, "--plan"), re.MULTILINE)
    demo.command("backfill", *span, "--yes")
    people = 0
    for day, sends in planned:
        ((sent, stale, due),) = demo.rows(
            "select count(*) filter (where send_state = 'accepted'), count(*) filter (where reason = 'stale'), count(*) "
            f"from lifecycle.messages where run_day = '{day}' and reason is distinct from 'past_entry'"
        )
        assert sent == int(sends)
        assert stale == (due if today - date.fromisoformat(day) > timedelta(days=3) else 0)
        people += due
    assert people > 0
    assert len(planned) == 2
    assert "already" in demo.command_notes("backfill", *span, "--yes")
    assert demo.command("report", "--problems", "--format", "csv").count("missed") == 0


def test_whom_the_killed_scheduler_left_uncertain_is_reached_once(demo: Demo) -> None:
    """Reliability G6: the days repaired since have proved that the provider's register is up to date."""
    ((day,),) = demo.rows(
        "select distinct run_day from lifecycle.messages inner join lifecycle.attempts using (message_id) where outcome = 'lost'"
    )
    _send_again(demo, day)
    ((planned,),) = demo.rows(
        f"select count(*) from lifecycle.messages where run_day = '{day}' and send_state <> 'skipped'"
    )
    assert _states(demo, day) == {"accepted": planned}
    ((accepted,),) = demo.rows("select count(*) from lifecycle.messages where send_state = 'accepted'")
    assert len(demo.sandbox.messages()) == accepted


def _send_again(demo: Demo, day: date) -> None:
    """Clear the send tasks of a day that have something uncertain or to be sent again, and wait.

    Any send task may settle what another day left, the day's own that Airflow starts meanwhile for example.
    """
    declared = journeys.load("reactivation")
    runs = demo.api.dag_runs("reactivation")
    (run_id,) = (
        run["dag_run_id"]
        for run in runs
        if as_of.run_day(datetime.fromisoformat(run["logical_date"]), declared.zone) == day
    )
    for (step,) in demo.rows(
        f"select distinct step from lifecycle.messages where run_day = '{day}' and send_state in ('uncertain', 'queued')"
    ):
        demo.api.clear_task("reactivation", run_id, [f"{step}.send"])
    _wait_until_idle(demo)


def _states(demo: Demo, day: date) -> dict[str, int]:
    return dict(
        demo.rows(
            "select send_state, count(*) from lifecycle.messages "
            f"where run_day = '{day}' and send_state <> 'skipped' group by send_state"
        )
    )


def test_a_day_that_airflow_is_at_already_is_waited_for(demo: Demo) -> None:
    """As after unpausing, when Airflow starts the last day at once: it leaves that day out of the backfill."""
    before = demo.command("report", "--digest")
    declared = journeys.load("reactivation")
    run = demo.api.dag_runs("reactivation")[-1]
    demo.api.clear_task("reactivation", run["dag_run_id"], ["coupon.queue_messages"], downstream=True)
    demo.wait_for_state(run["dag_run_id"], "running")
    day = as_of.run_day(datetime.fromisoformat(run["logical_date"]), declared.zone)
    ended: list[str] = []

    def watch(states: dict[date, str]) -> None:
        ended.append(states[day])
        assert len(ended) < PATIENCE, f"the run of {day} is waited for in vain"

    backfills.run(demo.api, declared, [day], again=True, watch=watch)
    assert ended[-1] == "success"
    _wait_until_idle(demo)
    assert demo.command("report", "--digest") == before


def test_the_daily_look_at_the_journeys_is_well(demo: Demo) -> None:
    run = demo.api.trigger("journey_health")
    deadline = time.monotonic() + PATIENCE
    while (state := _state_of(demo, run["dag_run_id"])) not in ("success", "failed"):
        assert time.monotonic() < deadline, state
        time.sleep(0.5)
    assert state == "success"


def _state_of(demo: Demo, run_id: str) -> str:
    return next(run["state"] for run in demo.api.dag_runs("journey_health") if run["dag_run_id"] == run_id)


def _arrivals(demo: Demo) -> Counter[str]:
    return Counter(message["to_address"] for message in demo.sandbox.messages())


def _wait_until_idle(demo: Demo) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(run["state"] not in ("success", "failed") for run in demo.api.dag_runs("reactivation")):
        assert time.monotonic() < deadline, "cleared tasks did not end"
        time.sleep(0.5)


def test_record_conversions_hands_ids_to_the_steps_and_every_other_task_counts(demo: Demo) -> None:
    values = [
        (entry["task_id"], entry["value"])
        for entry in demo.api.xcom_entries("reactivation")
        if entry["key"] == "return_value"
    ]
    converted = [value for task, value in values if task == "record_conversions"]
    assert converted
    assert all(set(value) == {"as_of", "converted", "customer_ids"} for value in converted)
    assert all(value["converted"] == len(value["customer_ids"]) for value in converted)
    assert {task for task, _ in values} >= {"check_sources", "survey.select_audience", "survey.send", "report"}


def test_no_name_address_or_message_stands_in_xcom_logs_or_rendered_fields(demo: Demo) -> None:
    secrets = _personal_data(demo)
    assert len(secrets) > 100
    places = _what_airflow_keeps(demo) | _what_is_logged(demo)
    assert len(places) > 20
    for place, text in places.items():
        leaked = [secret for secret in secrets if secret in text]
        assert not leaked, f"{len(leaked)} leaks in {place}"


def _personal_data(demo: Demo) -> set[str]:
    """Addresses and names of everybody who was due, and the words of every message."""
    people = demo.rows(
        "select distinct first_name, last_name, email, phone from imported.customers "
        "inner join lifecycle.audiences using (customer_id)"
    )
    # A name of a few letters is a word of any log: whole names are looked for.
    names = {f"{first} {last}" if last else first for first, last, *_ in people if first}
    addresses = {address for *_, email, phone in people for address in (email, phone) if address}
    return (
        {name for name in names if len(name) > 7} | addresses | {message["text"] for message in demo.sandbox.messages()}
    )


def _what_airflow_keeps(demo: Demo) -> dict[str, str]:
    base = lifecycle(demo.environment, "db", "url").strip().rsplit("/", 1)[0]
    kept = {}
    with psycopg.connect(f"{base}/airflow") as airflow:
        for table in ("xcom", "rendered_task_instance_fields", "log", "task_instance", "dag_run"):
            rows = airflow.execute(f"select row_to_json(t)::text from {table} as t".encode()).fetchall()
            kept[f"table {table}"] = "\n".join(row for (row,) in rows)
    assert all(kept.values())
    return kept


def _what_is_logged(demo: Demo) -> dict[str, str]:
    folders = [demo.home / "logs", demo.home / "airflow" / "logs"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_text(encoding="utf-8", errors="replace") for path in files}


def test_a_second_demo_reuses_everything_and_sends_nothing(demo: Demo) -> None:
    before = _arrivals(demo)
    printed = demo.command("demo", "--days", str(DAYS), *_data())
    assert "Airflow " in printed
    assert _arrivals(demo) == before


def test_ctrl_c_while_the_demo_works_leaves_no_process(tmp_path: Path) -> None:
    import signal

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LIFECYCLE_", "AIRFLOW"))}
    environment["LIFECYCLE_HOME"] = str(tmp_path)
    try:
        running = subprocess.Popen([sys.executable, "-m", "lifecycle.cli", "demo"], env=environment, cwd=PROJECT)
        _wait_for(tmp_path / "run" / "airflow-triggerer.json")
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
        assert not _pids_under(tmp_path)
    finally:
        lifecycle(environment, "down")
        _remove_database(environment)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never appeared"
        time.sleep(0.1)
