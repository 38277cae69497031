"""Asks a running sandbox what it received."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen


class SandboxClient:
    """What arrived at the stand-in for SendGrid and Twilio."""

    def __init__(self, url: str) -> None:
        self.url = url

    def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        """Every message that was accepted, oldest first; `to` keeps those of one address."""
        with urlopen(f"{self.url}/messages.json?limit=100000") as answer:
            found = json.load(answer)
        messages = found["messages"] if isinstance(found, dict) else found
        ordered = sorted(messages, key=lambda message: message["id"])
        return [message for message in ordered if to is None or message["to_address"] == to]

    def clear(self) -> None:
        """Empty the inbox, and behave well again."""
        with urlopen(Request(f"{self.url}/messages.json", method="DELETE")):
            pass
        self.behave()

    def behave(self) -> None:
        """Switch all faults off."""
        with urlopen(Request(f"{self.url}/faults", method="DELETE")):
            pass

    def fail(self, fault: str, **how: Any) -> None:
        """Fail as a provider does, at a `rate`, `for_next` so many calls, or always."""
        self._turn([{"fault": fault, **how}])

    def slow_down(self, latency_ms: int) -> None:
        """Take everything at once, and answer later."""
        self._turn({"latency_ms": latency_ms})

    def _turn(self, faults: object) -> None:
        body = json.dumps(faults).encode()
        with urlopen(Request(f"{self.url}/faults", body, {"Content-Type": "application/json"}, method="PUT")):
            pass
