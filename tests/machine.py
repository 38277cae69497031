"""What this machine can bear: how much of its processors it really has, and how long the tests may take."""

from __future__ import annotations

import os
import time

from bench.measured import processor_share

# A healthy machine has nearly all of it. Below this, an Airflow that starts beside other tests spends its time waiting
# for heartbeats of its own parts (docs/decisions/0031-tests-on-a-crowded-machine.md).
ENOUGH = 0.75
SECONDS = 3
_SHARE = "LIFECYCLE_TEST_PROCESSORS"
_MINUTES = "LIFECYCLE_TEST_MINUTES"
SETTINGS = (_SHARE, _MINUTES)
_END = "LIFECYCLE_TEST_END"


def has_processors() -> bool:
    """Whether this machine can bear the tests marked `needs_processors`; `LIFECYCLE_TEST_PROCESSORS=1` says it can."""
    return share() >= ENOUGH


def is_known() -> bool:
    """Whether it was measured already."""
    return _SHARE in os.environ


def share() -> float:
    """The part of its processors that this machine gets, from 0 to 1; measured once, also for child processes."""
    if not is_known():
        os.environ[_SHARE] = f"{processor_share(SECONDS):.2f}"
    return float(os.environ[_SHARE])


def end_of_time() -> float:
    """When the minutes of `LIFECYCLE_TEST_MINUTES` are over, as `time.time()` counts; the same for child processes.

    They begin when it is first asked. Without the setting they never end.
    """
    if _MINUTES in os.environ:
        os.environ.setdefault(_END, str(time.time() + 60 * float(os.environ[_MINUTES])))
    return float(os.environ.get(_END, "inf"))
