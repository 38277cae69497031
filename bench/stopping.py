"""A run that is told to end takes along what it started: Postgres, the sandbox, the senders."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cleaning_up_when_told_to_end() -> Iterator[None]:
    """Have Ctrl-C, `timeout` and a closed terminal go through every `finally` inside, and end with 128 and their number.

    They are listened to, not inherited: a shell starts background jobs with Ctrl-C ignored, and TERM would leave
    Postgres running.
    """
    told: list[int] = []

    def end(number: int, _: Any) -> None:
        # Whoever asks twice would break off the cleaning up.
        for ignored in _SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        told.append(number)
        # The one exception for which psycopg gives up a statement that runs.
        raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, end)
    try:
        yield
    finally:
        # Also when something failed only because it was broken off.
        if told:
            sys.exit(128 + told[0])
