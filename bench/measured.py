"""What was measured: seconds on the wall and on the processors, of ours and of Postgres, and what the machine gave."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# Pauses that are shorter, in seconds, are the machine's own, such as the ticks of its clock.
_NOTICED = 0.002
_WATCH_THE_CLOCK = f"""
import sys
from time import perf_counter
seconds = float(sys.argv[1])
start = last = perf_counter()
lost = 0.0
while last - start < seconds:
    now = perf_counter()
    if now - last > {_NOTICED}:
        lost += now - last
    last = now
print(1 - lost / (last - start))
"""


@dataclass
class Usage:
    """Seconds on the wall, and on the processor in Python, in Postgres and in the sink."""

    seconds: float = 0.0
    python_seconds: float = 0.0
    postgres_seconds: float = 0.0
    sink_seconds: float = 0.0


@dataclass
class Timing:
    """One design, measured: how many it did in each run, and with how much memory at most."""

    design: str
    count: int
    runs: list[Usage] = field(default_factory=list)
    rss_mb: float = 0.0

    @property
    def per_second(self) -> float:
        """How many a second, on the wall: the median of the runs."""
        return statistics.median(self.count / run.seconds for run in self.runs)

    @property
    def seconds(self) -> float:
        """How long all of them took: the median of the runs."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def python_micros(self) -> float:
        """Processor time in Python for each, in microseconds: the median of the runs."""
        return statistics.median(run.python_seconds for run in self.runs) / self.count * 1e6

    @property
    def postgres_micros(self) -> float:
        """Processor time in Postgres for each, in microseconds: the median of the runs."""
        return statistics.median(run.postgres_seconds for run in self.runs) / self.count * 1e6

    @property
    def sink_micros(self) -> float:
        """Processor time in the sink for each, in microseconds: the median of the runs."""
        return statistics.median(run.sink_seconds for run in self.runs) / self.count * 1e6

    @property
    def all_micros(self) -> float:
        """Processor time of everything for each, in microseconds."""
        return self.python_micros + self.postgres_micros + self.sink_micros


def ratio(ours: Timing, theirs: Timing) -> float:
    """How many times as fast ours is as theirs, side by side: the median of the pairs of neighbours."""
    pairs = zip(ours.runs, theirs.runs, strict=True)
    return statistics.median((ours.count / one.seconds) / (theirs.count / other.seconds) for one, other in pairs)


@contextmanager
def measured(postgres: int) -> Iterator[Usage]:
    """Measure what this process and the Postgres of that process id do inside."""
    usage = Usage()
    wall, python, server = time.perf_counter(), time.process_time(), processor_seconds(postgres)
    yield usage
    usage.seconds = time.perf_counter() - wall
    usage.python_seconds = time.process_time() - python
    usage.postgres_seconds = processor_seconds(postgres) - server


def processor_seconds(pid: int) -> float:
    """What a process and its children have used, also those that ended."""
    while True:
        own = _stat(pid)[11:15]
        children = [_stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()]
        # Fields of /proc/PID/stat from the state on: 1 parent, 11 to 14 user and system time, own and of ended children.
        alive = sum(_ticks(child[11:13]) for child in children if child and int(child[1]) == pid)
        # A child that ended between the two readings would be missing from both.
        if _stat(pid)[13:15] == own[2:]:
            return (_ticks(own) + alive) / _TICKS


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(fields: Sequence[str]) -> int:
    return sum(map(int, fields))


def parent_of(pid: int) -> int:
    """The process that started another."""
    return int(_stat(pid)[1])


def processor_share(seconds: float) -> float:
    """The part of its processors that this machine gets, from 0 to 1, seen over some seconds.

    A virtual machine is told nothing of that, and its processor times count the pauses, too. A loop that does nothing but
    look at the clock notices: where it was not run, the clock jumps. There is one for each processor, because one alone
    may find the only one that is free.
    """
    command = [sys.executable, "-c", _WATCH_THE_CLOCK, str(seconds)]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count() or 1)]
    return sum(float(loop.communicate()[0]) for loop in loops) / len(loops)
