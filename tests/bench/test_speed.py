"""`make bench` in small: it measures every part, prints its line for machines, and notices who was sent to twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.measured import Timing, Usage, ratio
from bench.sending import Sink

from bench import goals, peers, project, sending
from lifecycle import airflow_setup, airflow_tasks, rendering
from tests.conftest import PROJECT

LAST_LINE = re.compile(
    r"bench: email_vs_naive_0ms=\d+\.\d email_vs_naive_80ms=\d+\.\d email_per_s=\d+ sms_vs_sdk=\d+\.\d\d "
    r"sms_vs_naive_80ms=\d+\.\d plan_vs_insert=\d+\.\d\d replan_inserted=0 ladder_day_1m_s=\d+\.\d\d "
    r"recommendations_100k_s=\d+\.\d\d check_s=\d+\.\d\d rss_mb=\d+"
)


@pytest.mark.needs_processors
def test_a_quick_run_sends_everybody_once_and_ends_with_the_line_for_machines(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, "-m", "bench", "--quick", "--page", str(page)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    last = done.stdout.splitlines()[-1]
    assert LAST_LINE.fullmatch(last), last
    assert f"`{last}`" in page.read_text(encoding="utf-8")
    assert "{" not in page.read_text(encoding="utf-8"), "every place of the page is filled"
    assert not list(tmp_path.glob("lifecycle-bench-*")), "nothing is left behind"


def test_a_part_alone_leaves_a_dash_for_the_others() -> None:
    line = goals.last_line({"plan_vs_insert": 4.2, "replan_inserted": 0})
    assert "email_per_s=- " in line
    assert "plan_vs_insert=4.20 replan_inserted=0 ladder_day_1m_s=- recommendations_100k_s=- check_s=- rss_mb=-" in line


@pytest.mark.parametrize(("measured", "held"), [(14.9, "NO"), (15.0, "yes")])
def test_a_missed_goal_is_printed_as_such(measured: float, held: str) -> None:
    assert goals.table({"email_vs_naive_0ms": measured})[0][1:] == (">= 15", f"{measured:.1f}", held)


def test_a_ratio_compares_neighbours_so_that_a_slow_minute_counts_for_both() -> None:
    ours, theirs = Timing("ours", 100), Timing("anymail", 10)
    ours.runs = [Usage(1.0), Usage(10.0), Usage(1.0)]
    theirs.runs = [Usage(1.0), Usage(10.0), Usage(2.0)]
    assert ratio(ours, theirs) == 10


def test_shards_are_those_that_airflow_gets() -> None:
    assert (sending.MESSAGES_PER_SHARD, sending.MOST_SHARDS) == (
        airflow_tasks.MESSAGES_PER_SHARD,
        airflow_tasks.MOST_SHARDS,
    )
    for people in (0, 5_000, 5_001, 100_000):
        assert sending.shards_for(people) == len(airflow_tasks.shards_for(people))
    assert str(sending.PROCESSES) == airflow_setup._CONFIGURATION["CORE__PARALLELISM"]


@pytest.fixture
def letter_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.build(tmp_path / "project")
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path / "project"))


@pytest.mark.usefixtures("letter_project")
@pytest.mark.parametrize(("first_name", "city"), [("Ann & Co", "Bath"), (None, None)])
def test_the_loop_renders_the_same_words_as_ours(first_name: str | None, city: str | None) -> None:
    words = peers.Words()
    person = {"customer_id": "c1", "email": "c1@example.com", "first_name": first_name, "city": city}
    theirs = words.email(person)
    journey = project.letter()
    customer = rendering.Customer("c1", first_name=first_name, city=city)
    recipient = rendering.Recipient("c1", customer, project.context(journey).as_of)
    ours = rendering.render(journey, journey.steps[0], recipient)
    assert theirs == tuple(_with_their_links(text) for text in (ours.subject, ours.html, ours.text))
    assert len(ours.html) > 8_000


def _with_their_links(text: str) -> str:
    text = re.sub(r"http://links.test/u/\w+", "http://links.test/u/c1", text)
    return re.sub(r"http://links.test/l/\w+", "http://links.test/l/shop/c1", text)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sending.sink() as where:
        yield where


def test_the_sink_counts_whom_it_was_sent_twice(sink: Sink) -> None:
    for number in (1, 1, 2):
        _send_sms(sink, number)
    assert {name: sink.counts()[name] for name in ("requests", "people", "twice")} == {
        "requests": 3,
        "people": 2,
        "twice": 1,
    }
    sink.start_over(0)
    assert sink.counts()["people"] == 0


def test_the_sink_answers_as_late_as_it_was_told(sink: Sink) -> None:
    sink.start_over(200)
    assert _send_sms(sink, 1) >= 0.2


def test_the_sink_counts_everybody_of_a_shared_request(sink: Sink) -> None:
    from lifecycle.channels import BatchRecipient, EmailBatch
    from lifecycle.channels.accounts import sandbox_accounts
    from lifecycle.channels.sendgrid_email import SendGridEmail

    people = [BatchRecipient(f"m{number}", f"person{number}@example.com", {}) for number in range(3)]
    batch = EmailBatch("Hello", "<p>Hello</p>", "Hello", people)
    receipts = SendGridEmail(sandbox_accounts(sink.url).sendgrid).send_many(batch)
    assert [receipt.outcome for receipt in receipts] == ["accepted"] * 3
    assert (sink.counts()["requests"], sink.counts()["people"]) == (1, 3)


def _send_sms(sink: Sink, number: int) -> float:
    """Send one through the channel, and say how long it took."""
    import time

    from lifecycle.channels import OutgoingSms
    from lifecycle.channels.accounts import sandbox_accounts
    from lifecycle.channels.twilio_sms import TwilioSms

    channel = TwilioSms(sandbox_accounts(sink.url).twilio)
    started = time.monotonic()
    receipt = channel.send(OutgoingSms(f"m{number}", f"+3363998000{number}", "Hello"))
    assert receipt.outcome == "accepted"
    return time.monotonic() - started
