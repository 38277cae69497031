"""The promise of the outbox, counted where the messages arrive: whatever dies or stalls, nobody twice and nobody lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import chaos
from tests.conftest import PROJECT

LAST_LINE = re.compile(
    r"chaos: messages=(?P<messages>\d+) kills=(?P<kills>\d+) stops=(?P<stops>\d+) "
    r"duplicates=(?P<duplicates>\d+) lost=(?P<lost>\d+) unsettled=(?P<unsettled>\d+) seconds=\d+"
)


COMMAND = [sys.executable, "-m", "bench.chaos"]
# Ten times what the senders assume.
LOOKUP_LAG = "40"


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LIFECYCLE_", "AIRFLOW"))} | more


def run(*words: str) -> tuple[dict[str, int], str]:
    """What the last line says, and all that was printed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, *words], cwd=PROJECT, env=environment(), **pipes) as process:
        try:
            out, err = process.communicate(timeout=900)
        except subprocess.TimeoutExpired:
            # Not killed: it takes its Postgres along.
            process.terminate()
            raise
    printed = out + err
    last = LAST_LINE.fullmatch(out.splitlines()[-1]) if out else None
    assert last, printed
    assert process.returncode == (1 if any(int(last[name]) for name in ("duplicates", "lost", "unsettled")) else 0)
    return {name: int(value) for name, value in last.groupdict().items()}, printed


@pytest.mark.needs_processors
def test_of_20000_messages_none_goes_out_twice_or_is_lost_through_kills_stalls_and_faults():
    told, printed = run("--messages", "20000", "--kills", "40", "--stops", "4", "--no-compare")
    assert told == {"messages": 20_000, "kills": 40, "stops": 4, "duplicates": 0, "lost": 0, "unsettled": 0}, printed
    struck = dict(re.findall(r"(\w+) (\d+)", re.findall(r"^faults: (.*)$", printed, re.MULTILINE)[0]))
    assert set(struck) == set(chaos.FAULTS)
    assert all(int(times) > 0 for times in struck.values()), printed


@pytest.mark.needs_processors
def test_postgres_may_crash_at_any_time():
    told, printed = run("--messages", "1000", "--kills", "2", "--stops", "0", "--restarts", "3", "--no-compare")
    assert told == {"messages": 1000, "kills": 2, "stops": 0, "duplicates": 0, "lost": 0, "unsettled": 0}, printed
    assert "2/0/3" in printed


@pytest.mark.needs_processors
@pytest.mark.parametrize("hold", [["--hold"], []], ids=["held", "looked up"])
def test_emails_survive_logs_that_lag_ten_times_longer_than_assumed(hold: list[str]):
    told, printed = run(
        "--channel", "email", *hold, "--lookup-lag", LOOKUP_LAG, "--fault-rate", "0.01",
        "--messages", "1000", "--kills", "4", "--stops", "1",
    )  # fmt: skip
    assert told == {"messages": 1000, "kills": 4, "stops": 1, "duplicates": 0, "lost": 0, "unsettled": 0}, printed


def test_an_sms_cannot_be_held():
    answer = subprocess.run([*COMMAND, "--hold"], cwd=PROJECT, env=environment(), capture_output=True, text=True)
    assert answer.returncode == 2
    assert "--hold is for --channel email" in answer.stderr


@pytest.mark.needs_processors
@pytest.mark.parametrize(
    ("module", "number"),
    [("bench.chaos", signal.SIGTERM), ("bench", signal.SIGTERM), ("bench.webhooks", signal.SIGINT)],
)
def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path, module: str, number: signal.Signals):
    # As a shell starts background jobs: with Ctrl-C ignored.
    with ignored(signal.SIGINT):
        command = [sys.executable, "-m", module]
        process = subprocess.Popen(command, cwd=PROJECT, env=environment(TMPDIR=str(tmp_path)))
    try:
        wait_until(lambda: postgres_of(tmp_path), timeout=300)
        if module == "bench.chaos":
            wait_until(lambda: list(tmp_path.glob("*/senders.log")), timeout=300)
        postgres = postgres_of(tmp_path)
    finally:
        process.send_signal(number)
    # Python itself calls it the end by Ctrl-C, whatever main returns, when it was met while it made a class.
    assert process.wait(timeout=300) in (128 + number, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []
    assert postgres
    wait_until(lambda: not is_running(postgres), timeout=120)
    # What forks the senders ends by itself, when nobody is left to ask it for one.
    wait_until(lambda: not started_below(tmp_path), timeout=120)


def postgres_of(folder: Path) -> Path | None:
    """The process of the Postgres that a run below a folder started."""
    for memory in folder.rglob("postgres.json"):
        pid_file = memory.parent / json.loads(memory.read_text())["data"] / "postmaster.pid"
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        if lines:
            return Path("/proc", lines[0])
    return None


def is_running(process: Path) -> bool:
    """Whether a process does anything; one that nobody has buried yet does not."""
    try:
        return bool((process / "cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def ignored(number: signal.Signals) -> Iterator[None]:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


def wait_until(is_so: Callable[[], object], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def started_below(folder: Path) -> list[str]:
    """The processes that were told of a folder, or stand in it."""
    return [process.name for process in Path("/proc").glob("[0-9]*") if _belongs_to(process, folder)]


def _belongs_to(process: Path, folder: Path) -> bool:
    try:
        return bytes(folder) in (process / "environ").read_bytes() or (process / "cwd").readlink().is_relative_to(
            folder
        )
    except OSError:
        return False
