"""Sending: starts the processes of a design together, waits for the last, and asks the sink who was reached."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

from bench import databases, project
from bench.measured import Timing, Usage, processor_seconds
from bench.profile import Spent

# As `airflow_tasks` maps `send`: one shard for this many messages, and no more than eight.
MESSAGES_PER_SHARD = 5_000
MOST_SHARDS = 8
# How many of them the local Airflow runs at once (`airflow_setup`); a server runs eight.
PROCESSES = 4

_NAIVE_QUEUE = """
create table public.naive_queue as
select
    customer_id,
    null::timestamptz as sent_at
from imported.customers;
alter table public.naive_queue add primary key (customer_id);
"""
_STATES = "select count(*) filter (where send_state = 'accepted'), count(*) from lifecycle.messages where step = '{}'"


@dataclass
class Sink:
    """The counting provider, and whom it was not right about."""

    url: str
    pid: int
    wrong: list[str] = field(default_factory=list)

    def start_over(self, latency_ms: int) -> None:
        """Forget what came, and answer that late from now on."""
        self._call("DELETE", f"/counts?latency_ms={latency_ms}")

    def counts(self) -> dict[str, Any]:
        """Requests, people reached, and deliveries that were one too many."""
        return self._call("GET", "/counts")

    def _call(self, method: str, path: str) -> dict[str, Any]:
        with urlopen(Request(self.url + path, method=method), timeout=60) as answer:
            return json.load(answer)


@contextmanager
def sink() -> Iterator[Sink]:
    """A sink in a process of its own."""
    command = [sys.executable, "-m", "bench.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project.CHECKOUT) as process:
        assert process.stdout
        try:
            yield Sink(f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid)
        finally:
            process.kill()


def make_queue(name: str, people: int, journey: Any, *, with_history: bool = True) -> None:
    """A database in which everybody's message waits."""
    from lifecycle import stages

    databases.make(name, "people.sql", people=people, refusals=0, history=int(with_history))
    context, step = project.context(journey), journey.steps[0]
    with databases.in_use(name):
        stages.record_conversions(context)
        stages.select_audience(context, step)
        counts = stages.queue_messages(context, step, [])
        if counts != {"queued": people}:
            raise RuntimeError(f"{people} messages should be queued: {counts}")
    databases.execute(name, _NAIVE_QUEUE)
    databases.settle_down(name)


def send(
    timing: Timing,
    where: Sink,
    source: str,
    *,
    latency_ms: int,
    channel: str = "email",
    shards: int = 1,
    processes: int = 1,
    profile: bool = False,
    **more: Any,
) -> dict[str, Spent]:
    """Run a design once on a copy of a database, with its processes already started; returns phases if profiled."""
    work = {"design": timing.design, "channel": channel, "sink": where.url, "people": timing.count, "of": shards}
    work |= {"profile": profile, **more}
    with databases.copy_of(source) as copy:
        where.start_over(latency_ms)
        share = [list(range(number, shards, processes)) for number in range(min(processes, shards))]
        senders = [_start(work | {"shards": mine}) for mine in share]
        try:
            for sender in senders:
                _line(sender)
            sink_before = where.counts()["seconds"]
            usage, reports = _let_go(senders)
        finally:
            for sender in senders:
                sender.kill()
                sender.wait()
        timing.runs.append(usage)
        usage.sink_seconds = where.counts()["seconds"] - sink_before
        timing.rss_mb = max([timing.rss_mb, *(report["rss_mb"] for report in reports)])
        _check(timing, where, copy, "letter" if channel == "email" else "note")
    return _together([report["phases"] for report in reports], usage)


def _start(work: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.sender", json.dumps(work)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=project.CHECKOUT)


def _let_go(senders: list[subprocess.Popen[str]]) -> tuple[Usage, list[dict[str, Any]]]:
    postgres = databases.postgres_pid()
    server, wall = processor_seconds(postgres), time.perf_counter()
    for sender in senders:
        assert sender.stdin
        sender.stdin.write("go\n")
        sender.stdin.flush()
    reports = [json.loads(_line(sender)) for sender in senders]
    usage = Usage(time.perf_counter() - wall, sum(report["cpu_seconds"] for report in reports))
    usage.postgres_seconds = processor_seconds(postgres) - server
    return usage, reports


def _line(sender: subprocess.Popen[str]) -> str:
    assert sender.stdout
    line = sender.stdout.readline()
    if not line:
        raise RuntimeError(f"a sender ended with {sender.wait()}")
    return line


def _check(timing: Timing, where: Sink, copy: str, step: str) -> None:
    """Everybody once; whatever else happened is remembered and fails the run in the end."""
    counts = where.counts()
    if counts["people"] != timing.count or counts["twice"]:
        where.wrong.append(f"{timing.design}: {counts['people']} of {timing.count} reached, {counts['twice']} twice")
    if timing.design == "ours":
        accepted, planned = databases.query(copy, _STATES.format(step))
        if accepted != planned:
            where.wrong.append(f"ours: {planned - accepted} of {planned} not recorded as accepted")


def _together(phases: list[dict[str, Spent]], usage: Usage) -> dict[str, Spent]:
    added: dict[str, Spent] = {}
    for one in phases:
        for name, (wall, cpu, server) in one.items():
            known = added.get(name, (0.0, 0.0, 0.0))
            added[name] = (known[0] + wall, known[1] + cpu, known[2] + server)
    if added:
        wall, cpu, _ = added.pop("whole")
        in_statements = sum(server for _, _, server in added.values())
        added["commits, and what Postgres does beside the sessions"] = (
            0.0,
            0.0,
            usage.postgres_seconds - in_statements,
        )
        added["whole"] = (wall, cpu, usage.postgres_seconds)
    return added


def shards_for(people: int) -> int:
    """As many as `airflow_tasks.shards_for` makes."""
    return min(MOST_SHARDS, max(1, -(-people // MESSAGES_PER_SHARD)))


def sms_threads() -> int:
    """In how many threads a sending process of ours talks to Twilio."""
    from lifecycle.channels import MOST_AT_ONCE

    return MOST_AT_ONCE


def ceilings() -> list[str]:
    """What the sink takes at least, from one client that does nothing else."""
    letter = json.dumps(
        {
            "personalizations": [
                {
                    "to": [{"email": f"person{number}@example.com"}],
                    "custom_args": {"lifecycle_message_id": f"00000000-0000-0000-0000-{number:012d}"},
                    "substitutions": {
                        "-lc0_": f"Name {number}",
                        "-lc1_": "London",
                        "-lc2_": "x" * 60,
                        "-lc3_": "x" * 50,
                    },
                }
                for number in range(500)
            ],
            "content": [{"type": "text/html", "value": "words " * 1_500}],
        }
    ).encode()
    with sink() as where:
        letters = _posts_per_second(where.url, b"/v3/mail/send", letter) * 500
        notes = _posts_per_second(where.url, b"/Messages.json", b"To=%2B33600000001&From=%2B15005550006&Body=Hello")
    return [f"The local provider takes at least {letters:,.0f} emails/s in requests of 500, and {notes:,.0f} SMS/s"]


def _posts_per_second(url: str, path: bytes, body: bytes, seconds: float = 1.0) -> float:
    host, port = url.removeprefix("http://").split(":")
    request = b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (path, host.encode(), len(body)) + body
    count, started = 0, time.perf_counter()
    with socket.create_connection((host, int(port))) as connection:
        while time.perf_counter() < started + seconds:
            connection.sendall(request)
            connection.recv(65536)
            count += 1
    return count / (time.perf_counter() - started)
