"""What one stranger may use up: bytes, time, threads and guesses (threats T6 and T7)."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

log = logging.getLogger(__name__)

MAX_WEBHOOK_BYTES = 1024 * 1024
MAX_FORM_BYTES = 64 * 1024
BODY_SECONDS = 10
# Bodies that are being read, of all requests together.
MAX_BUFFERED_BYTES = 64 * 1024 * 1024
# Requests that wait for Postgres or work with it at a time.
MAX_WORKING = 40
# Unknown codes that one address may ask for: so many at once, and one more every two seconds.
GUESSES = 30
GUESS_SECONDS = 2.0
_ADDRESSES_KEPT = 10_000

Value = TypeVar("Value")
Scope = MutableMapping[str, Any]


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """The request gets this status and nothing more."""

    def __init__(self, status: int, retry_after: int = 0) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after


class Limits:
    """The counters of one receiver."""

    def __init__(self) -> None:
        self.working = 0
        self.buffered = 0
        self._guesses: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def read_body(self, request: Request, most: int) -> bytes:
        """The body of a request.

        Raises:
            Refused: it is longer than `most`, comes too slowly, ends too early, or too many come at a time.
        """
        announced = request.headers.get("content-length", "0")
        if not (announced.isascii() and announced.isdigit()) or len(announced) > 18 or int(announced) > most:
            raise Refused(413)
        body = bytearray()
        try:
            with anyio.fail_after(BODY_SECONDS):
                async for piece in request.stream():
                    self._buffer(len(piece))
                    body += piece
                    if len(body) > most:
                        raise Refused(413)
        except TimeoutError:
            raise Refused(408) from None
        except ClientDisconnect:
            raise Refused(400) from None
        finally:
            self.buffered -= len(body)
        return bytes(body)

    def _buffer(self, count: int) -> None:
        if self.buffered + count > MAX_BUFFERED_BYTES:
            raise Refused(503, retry_after=1)
        self.buffered += count

    async def in_thread(self, work: Callable[..., Value], *arguments: Any) -> Value:
        """Run blocking work in a thread.

        Raises:
            Refused: so many others work already that waiting would only make it worse.
        """
        if self.working >= MAX_WORKING:
            raise Refused(503, retry_after=1)
        self.working += 1
        try:
            return await run_in_threadpool(work, *arguments)
        finally:
            self.working -= 1

    def require_guess(self, request: Request) -> None:
        """Refuse an address that asked for too many unknown codes before it learns about another one.

        Raises:
            Refused: its guesses are used up.
        """
        if self._left(_address(request)) < 1:
            raise Refused(429, retry_after=60)

    def count_guess(self, request: Request) -> None:
        """Remember that an address asked for a code nobody made."""
        address = _address(request)
        self._guesses[address] = (self._left(address) - 1, time.monotonic())
        self._guesses.move_to_end(address)
        while len(self._guesses) > _ADDRESSES_KEPT:
            self._guesses.popitem(last=False)

    def _left(self, address: str) -> float:
        left, since = self._guesses.get(address, (float(GUESSES), 0.0))
        return min(float(GUESSES), left + (time.monotonic() - since) / GUESS_SECONDS)


def _address(request: Request) -> str:
    """Whose guesses they are: an IPv6 network of one customer counts as one address."""
    host = request.client.host if request.client else ""
    return ":".join(host.split(":")[:4]) if ":" in host else host


class Guard:
    """Outermost: whatever goes wrong inside is worth another try (503) and never a page of ours with status 500."""

    def __init__(self, app: Callable[..., Awaitable[None]], headers: dict[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_started = False

        async def remember(message: MutableMapping[str, Any]) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, receive, remember)
        except Refused as refused:
            await self._answer(refused.status, refused.retry_after)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the provider sends again what was not answered with 200
            # The text of an error may quote what a stranger sent; its kind and place are enough.
            log.error("cannot answer %s: %s", scope["path"][:3], type(error).__name__)
            if not has_started:
                await self._answer(503, 30)(scope, receive, send)

    def _answer(self, status: int, retry_after: int) -> Response:
        headers = {**self.headers, "Retry-After": str(retry_after)} if retry_after else self.headers
        # What is left of a body that nobody will read must not be taken for the next request.
        closing = {"Connection": "close"} if status in (408, 413) else {}
        return Response(status_code=status, headers={**headers, **closing})
