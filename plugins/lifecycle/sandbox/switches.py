"""What can be switched on in the sandbox. Everything is off at first, and stays as it was set through a restart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.sandbox.clock import Clock
from lifecycle.sandbox.options import number, one_of, option, rate, read, span, switch, web_address, whole

if TYPE_CHECKING:
    from lifecycle.sandbox.storage import Storage


@dataclass(frozen=True)
class Behaviour:
    """What the providers' descriptions leave open, so that a test can ask for the worse answer."""

    after_cancel: str = option("drop", one_of("drop", "send"))
    """What becomes of a request that arrives after the cancellation of its batch."""
    cancel_notice_seconds: float = option(0, number(0))
    """A cancellation this close to `send_at` is answered like any other and does nothing; SendGrid promises 600."""
    twilio_index_lag_seconds: float = option(0, number(0))
    """How long a new SMS is missing from the list of messages."""
    sendgrid_index_lag_seconds: float = option(0, number(0))
    """How long a new email is missing from the Email Logs."""


@dataclass(frozen=True)
class Webhooks:
    """Where events and callbacks go. Without an address nothing is posted."""

    sendgrid_url: str = option("", web_address)
    twilio_status: bool = option(False, switch)
    twilio_inbound_url: str = option("", web_address)
    public_url: str = option("", web_address)
    """The receiver's address as the world knows it: callbacks that start with it are signed as written ..."""
    receiver_url: str = option("", web_address)
    """... and delivered here instead."""
    duplicates: float = option(0.0, rate)
    """The share of events that come twice."""
    shuffle: bool = option(False, switch)
    batch_size: int = option(500, whole(1, 10_000))
    retry_seconds: float = option(1.0, number(0.01, 3600))
    """The wait before the second attempt; it doubles each time."""
    max_attempts: int = option(12, whole(1, 100))

    @property
    def is_on(self) -> bool:
        """Whether anything is to be posted."""
        return bool(self.sendgrid_url or self.twilio_status or self.twilio_inbound_url)


@dataclass(frozen=True)
class People:
    """How recipients behave, as shares of the messages they get."""

    open: float = option(0.0, rate)
    click: float = option(0.0, rate)
    reply_stop: float = option(0.0, rate)
    buy: float = option(0.0, rate)
    bounce: float = option(0.0, rate)
    drop: float = option(0.0, rate)
    defer: float = option(0.0, rate)
    complain: float = option(0.0, rate)
    unsubscribe: float = option(0.0, rate)
    seed: int = option(1, whole(-(2**31)))
    delay_seconds: tuple[float, float] = option((0.0, 0.0), span)
    """How long each of them waits before each step, between two numbers."""
    always_tracked: bool = option(False, switch)
    """Whether opens and clicks become events even where the message switched tracking off."""


KINDS: dict[str, type[Any]] = {"behaviour": Behaviour, "webhooks": Webhooks, "people": People}


class Switches:
    """The switches of one sandbox, kept in its file."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        stored = {row["name"]: json.loads(row["value"]) for row in storage.rows("controls")}
        self._set = {name: read(KINDS[name], stored[name]) for name in KINDS if name in stored}
        self.clock = Clock(stored.get("clock", 0.0))

    @property
    def behaviour(self) -> Behaviour:
        """How the providers behave."""
        return self._set.get("behaviour", Behaviour())

    @property
    def webhooks(self) -> Webhooks:
        """Where events go."""
        return self._set.get("webhooks", Webhooks())

    @property
    def people(self) -> People:
        """How recipients behave."""
        return self._set.get("people", People())

    @property
    def are_events_on(self) -> bool:
        """Whether a message leads to anything at all."""
        return self.webhooks.is_on or self.people != People()

    def turn(self, name: str, given: Any) -> None:
        """Set one group of switches; what is not named goes back to its default.

        Raises:
            BadOptionError: a switch that does not exist, or not with this value.
        """
        self._set[name] = read(KINDS[name], given)
        self._remember(name, asdict(self._set[name]))

    def turn_off(self, name: str) -> None:
        """Everything of one group as it was at first."""
        self.turn(name, {})

    def skip(self, seconds: float) -> None:
        """Put the clock forward."""
        self.clock.skipped_seconds += seconds
        self._remember("clock", self.clock.skipped_seconds)

    def state(self, name: str) -> Mapping[str, Any]:
        """One group as JSON."""
        return asdict(self._set.get(name, KINDS[name]()))

    def _remember(self, name: str, value: Any) -> None:
        self._storage.rows("set_control", name=name, value=json.dumps(value))
