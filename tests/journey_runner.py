"""Plays journeys day by day against the test database and the sandbox."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlparse

from starlette.testclient import TestClient

from lifecycle import journeys, runs, senders, stages
from lifecycle.receiver.app import create_app

PHONE_BROWSER = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile Safari"}


class JourneyRunner:
    """Runs one journey for chosen days; `today` is the day the test is executed on."""

    def __init__(self, name: str, today: date) -> None:
        self.declared = journeys.load(name)
        self.today = today

    def run(self, day: date) -> dict[str, Any]:
        """Run one day as `lifecycle run --as-of` does."""
        context = runs.for_day(self.declared.journey, day, self.declared.zone, clock=self.today)
        return stages.run_all(context, senders.sandbox_channel)

    def run_range(self, first: date, last: date) -> None:
        """Run every day from first to last."""
        for number in range((last - first).days + 1):
            self.run(first + timedelta(days=number))


def receiver() -> TestClient:
    """The receiver as a phone's browser sees it."""
    return TestClient(create_app(), headers=PHONE_BROWSER, follow_redirects=False)


def link_in(text: str) -> str:
    """The path of the first link of a message."""
    found = re.search(r"https?://\S+", text)
    assert found, f"no link in {text!r}"
    return urlparse(found[0]).path
