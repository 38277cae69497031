"""The sandbox's clock: the machine's, plus what a test has skipped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass
class Clock:
    """Seconds since 1970. It can be put forward, so that nobody has to wait for a scheduled message."""

    skipped_seconds: float = 0.0

    def now(self) -> float:
        """The time by this clock."""
        return time.time() + self.skipped_seconds


def as_text(seconds: float) -> str:
    """A time as the JSON shows it: UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
