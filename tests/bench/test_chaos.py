"""The promise of the outbox, counted where the messages arrive: whatever dies or stalls, nobody twice and nobody lost."""

import os
import re
import subprocess
import sys

from bench import chaos
from tests.conftest import PROJECT

LAST_LINE = re.compile(
    r"chaos: messages=(?P<messages>\d+) kills=(?P<kills>\d+) stops=(?P<stops>\d+) "
    r"duplicates=(?P<duplicates>\d+) lost=(?P<lost>\d+) unsettled=(?P<unsettled>\d+) seconds=\d+"
)


def run(*words: str) -> tuple[dict[str, int], str]:
    """What the last line says, and all that was printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LIFECYCLE_", "AIRFLOW"))}
    answer = subprocess.run(
        [sys.executable, "-m", "bench.chaos", *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    printed = answer.stdout + answer.stderr
    last = LAST_LINE.fullmatch(answer.stdout.splitlines()[-1]) if answer.stdout else None
    assert last, printed
    assert answer.returncode == (1 if any(int(last[name]) for name in ("duplicates", "lost", "unsettled")) else 0)
    return {name: int(value) for name, value in last.groupdict().items()}, printed


def test_of_20000_messages_none_goes_out_twice_or_is_lost_through_kills_stalls_and_faults():
    told, printed = run("--messages", "20000", "--kills", "40", "--stops", "4", "--no-compare")
    assert told == {"messages": 20_000, "kills": 40, "stops": 4, "duplicates": 0, "lost": 0, "unsettled": 0}, printed
    struck = dict(re.findall(r"(\w+) (\d+)", re.findall(r"^faults: (.*)$", printed, re.MULTILINE)[0]))
    assert set(struck) == set(chaos.FAULTS)
    assert all(int(times) > 0 for times in struck.values()), printed


def test_postgres_may_crash_at_any_time():
    told, printed = run("--messages", "1000", "--kills", "2", "--stops", "0", "--restarts", "3", "--no-compare")
    assert told == {"messages": 1000, "kills": 2, "stops": 0, "duplicates": 0, "lost": 0, "unsettled": 0}, printed
    assert "2/0/3" in printed
