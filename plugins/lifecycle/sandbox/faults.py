"""Fails as the real providers fail: connections that break before or after a message was taken, odd answers, delays.

It sits around both providers' addresses and knows nothing of what they do, so an accepted message is accepted, whatever
its sender gets to see.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lifecycle.sandbox.options import BadOptionError, number, one_of, option, rate, read, whole
from lifecycle.sandbox.validation import SendGridError, TwilioError

FAULTS = (
    "reset_before_accept",
    "reset_after_accept",
    "late_accept",
    "late_answer",
    "503_not_accepted",
    "503_accepted",
    "429",
    "401",
    "truncated_body",
)
LEAST_ANNOUNCED_BYTES = 64

_AFTERWARDS = {"reset_after_accept", "late_accept", "late_answer", "503_accepted", "truncated_body"}
_SENDGRID, _TWILIO = "/v3/", "/2010-04-01/"
_WORDS: dict[int, tuple[str, int]] = {
    401: ("The provided authorization grant is invalid, expired, or revoked", 20003),
    429: ("too many requests", 20429),
    503: ("Service Unavailable", 20503),
}


@dataclass(frozen=True)
class Rule:
    """One fault, and how often it strikes."""

    fault: str = option("", one_of(*FAULTS))
    rate: float = option(1.0, rate)
    provider: str = option("any", one_of("sendgrid", "twilio", "any"))
    calls: str = option("send", one_of("send", "other", "all"))
    """Which calls: those that send a message, the others (batches, lookups), or all."""
    seed: int = option(1, whole(-(2**31)))
    for_next: int | None = option(None, whole(1))
    """Only so many times; without it until it is switched off."""
    delay_ms: float = option(5000, number(0, 3_600_000))
    """How late a `late_answer` is, or how long a `late_accept` is on its way before it is taken at all."""
    retry_after: int = option(1, whole(0, 86_400))
    """What a `429` asks for, in seconds."""


@dataclass
class _Armed:
    rule: Rule
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.rule.seed)

    def strikes(self, provider: str, is_send: bool) -> bool:
        """Whether this call is hit; every call it could hit is counted."""
        rule = self.rule
        if rule.provider not in ("any", provider) or rule.calls == ("other" if is_send else "send"):
            return False
        self.counts["seen"] += 1
        is_used_up = rule.for_next is not None and self.counts["struck"] >= rule.for_next
        if self._random.random() >= rule.rate or is_used_up:
            return False
        self.counts["struck"] += 1
        return True


class Faults:
    """What is switched on now; a restart switches it off."""

    def __init__(self) -> None:
        self.latency_ms: float = 0
        self._armed: list[_Armed] = []

    def turn(self, given: Any) -> None:
        """Replace all faults by a list of them, or by an object with `faults` and `latency_ms`.

        Raises:
            BadOptionError: a fault that does not exist, or a value of the wrong kind.
        """
        given = {"faults": given} if isinstance(given, list) else given
        if not isinstance(given, dict) or given.keys() - {"faults", "latency_ms"}:
            raise BadOptionError("give a list of faults, or an object with faults and latency_ms")
        faults = given.get("faults", [])
        if not isinstance(faults, list):
            raise BadOptionError("faults: give a list")
        rules = [read(Rule, one) for one in faults]
        if not all(rule.fault for rule in rules):
            raise BadOptionError(f"fault: give one of {', '.join(FAULTS)}")
        self.latency_ms = number(0, 600_000)(given.get("latency_ms", 0))
        self._armed = [_Armed(rule) for rule in rules]

    def turn_off(self) -> None:
        """Behave well again."""
        self.turn([])

    def state(self) -> dict[str, Any]:
        """What is on, how many calls each fault could have hit, and how many it hit."""
        return {
            "latency_ms": self.latency_ms,
            "faults": [
                {**asdict(one.rule), "seen": one.counts["seen"], "struck": one.counts["struck"]} for one in self._armed
            ],
        }

    def of(self, provider: str, is_send: bool) -> Rule | None:
        """The fault that hits this call, if any."""
        return next((one.rule for one in self._armed if one.strikes(provider, is_send)), None)


class FaultyProviders:
    """The ASGI layer that makes the faults happen."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless a fault hits it."""
        provider = _provider(scope)
        if not provider:
            await self.app(scope, receive, send)
            return
        faults: Faults = scope["app"].state.faults
        rule = faults.of(provider, _is_send(scope))
        if rule is None and not faults.latency_ms:
            await self.app(scope, receive, send)
            return
        with contextlib.suppress(ClientDisconnect):
            if rule is None or rule.fault in _AFTERWARDS:
                await self._answer(rule, faults.latency_ms, provider, scope, receive, send)
            else:
                await self._refuse(rule, faults.latency_ms, provider, scope, receive, send)

    async def _refuse(
        self, rule: Rule, latency_ms: float, provider: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Take nothing: the provider does not even look at the request."""
        await _whole_request(receive)
        await asyncio.sleep(latency_ms / 1000)
        if rule.fault == "reset_before_accept":
            await _reset(receive)
        else:
            await _refusal(int(rule.fault[:3]), provider, rule)(scope, receive, send)

    async def _answer(
        self, rule: Rule | None, latency_ms: float, provider: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let the provider do its work, and then decide what its client gets to see."""
        fault = rule.fault if rule else ""
        body = await _whole_request(receive)
        if rule and fault == "late_accept":
            await asyncio.sleep(rule.delay_ms / 1000)
        answer = _Answer()
        await self.app(scope, _giving(body), answer.keep)
        late_ms = rule.delay_ms if rule and fault == "late_answer" else 0
        await asyncio.sleep((latency_ms + late_ms) / 1000)
        if fault == "reset_after_accept":
            await _reset(receive)
        elif fault == "truncated_body":
            await answer.cut(send)
            await _hang_up(receive)
        elif rule and fault == "503_accepted" and answer.is_yes:
            await _refusal(503, provider, rule)(scope, receive, send)
        else:
            await answer.give(send)


class _Answer:
    """An answer that is kept back until it is decided what its asker gets to see."""

    def __init__(self) -> None:
        self._start: Message = {}
        self._body = b""

    @property
    def is_yes(self) -> bool:
        return 200 <= self._start["status"] < 300

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    async def give(self, send: Send) -> None:
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body})

    async def cut(self, send: Send) -> None:
        """Announce more than comes."""
        headers = MutableHeaders(raw=list(self._start["headers"]))
        headers["content-length"] = str(max(len(self._body), LEAST_ANNOUNCED_BYTES))
        await send({**self._start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": self._body[: len(self._body) // 2], "more_body": True})


def _provider(scope: Scope) -> str:
    path = scope.get("path", "") if scope["type"] == "http" else ""
    if path.startswith(_SENDGRID):
        return "sendgrid"
    return "twilio" if path.startswith(_TWILIO) else ""


def _is_send(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"].endswith(("/mail/send", "/Messages.json"))


def _refusal(status: int, provider: str, rule: Rule) -> Response:
    words, code = _WORDS[status]
    headers = {"Retry-After": str(rule.retry_after)} if status == 429 else None
    if provider == "twilio":
        return JSONResponse(TwilioError(status, code, words).body(), status, headers)
    return JSONResponse({"errors": [vars(SendGridError(words))]}, status, headers)


async def _whole_request(receive: Receive) -> bytes:
    """Take the whole request in: its sender has then certainly written it, and cannot know what became of it."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _giving(body: bytes) -> Receive:
    """The request once more, from somebody who waits for the answer, whether or not they still do."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _reset(receive: Receive) -> None:
    """Break the connection with a TCP reset: nothing that was written before arrives."""
    transport = _transport(receive)
    # Lingering for no time at all makes the kernel send a reset.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _until_gone(receive)


async def _hang_up(receive: Receive) -> None:
    """Close the connection after what was written has left."""
    _transport(receive).close()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(receive: Receive) -> asyncio.Transport:
    """The connection beneath a request: uvicorn's `receive` belongs to an object that holds it."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("A connection can be broken only where there is one: run the sandbox as a server")
    return transport
