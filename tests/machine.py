"""What this machine can bear: how much of its processors it really has, and how long the tests may take.

A virtual machine is told nothing of that. A loop that does nothing but look at the clock notices: where it was not run,
the clock jumps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

# A healthy machine has nearly all of it. Below this, an Airflow that starts beside other tests spends its time waiting
# for heartbeats of its own parts (docs/decisions/0031-tests-on-a-crowded-machine.md).
ENOUGH = 0.75
SECONDS = 3
_SHARE = "LIFECYCLE_TEST_PROCESSORS"
_MINUTES = "LIFECYCLE_TEST_MINUTES"
SETTINGS = (_SHARE, _MINUTES)
_END = "LIFECYCLE_TEST_END"
# In seconds; shorter pauses are this machine's own, such as the ticks of its clock.
_NOTICED = 0.002
_WATCH_THE_CLOCK = f"""
from time import perf_counter
start = last = perf_counter()
lost = 0.0
while last - start < {SECONDS}:
    now = perf_counter()
    if now - last > {_NOTICED}:
        lost += now - last
    last = now
print(1 - lost / (last - start))
"""


def has_processors() -> bool:
    """Whether this machine can bear the tests marked `needs_processors`; `LIFECYCLE_TEST_PROCESSORS=1` says it can."""
    return share() >= ENOUGH


def is_known() -> bool:
    """Whether it was measured already."""
    return _SHARE in os.environ


def share() -> float:
    """The part of its processors that this machine gets, from 0 to 1; measured once, also for child processes."""
    if not is_known():
        os.environ[_SHARE] = f"{_measured():.2f}"
    return float(os.environ[_SHARE])


def end_of_time() -> float:
    """When the minutes of `LIFECYCLE_TEST_MINUTES` are over, as `time.time()` counts; the same for child processes.

    They begin when it is first asked. Without the setting they never end.
    """
    if _MINUTES in os.environ:
        os.environ.setdefault(_END, str(time.time() + 60 * float(os.environ[_MINUTES])))
    return float(os.environ.get(_END, "inf"))


def _measured() -> float:
    """One loop for each processor, because one alone may find the only one that is free."""
    command = [sys.executable, "-c", _WATCH_THE_CLOCK]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count() or 1)]
    return sum(float(loop.communicate()[0]) for loop in loops) / len(loops)
