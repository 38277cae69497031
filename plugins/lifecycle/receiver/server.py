"""The receiver as a process: who may be slow, how many may come, and whose word about addresses counts."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lifecycle import processes, settings
from lifecycle.errors import LifecycleError
from lifecycle.receiver import keys
from lifecycle.receiver.app import create_app

HEADER_SECONDS = 10
KEEP_ALIVE_SECONDS = 5
MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 500


class PatientForAWhile(H11Protocol):
    """HTTP/1.1 that hangs up on whoever does not finish the head of a request in time (threat T7)."""

    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Give a new connection its time."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take some bytes; the time ends with the head, a body has a limit of its own."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.deadline is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self.deadline = self.loop.call_later(HEADER_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        self.deadline = None
        # An answer may be on its way although the next request is not complete.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


def config(app: Any, port: int, host: str) -> uvicorn.Config:
    """How the web server runs an app."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PatientForAWhile,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies(),
    )


def serve(port: int, host: str = "127.0.0.1", *, insecure: bool = False) -> None:
    """Run the receiver until it is stopped. `insecure` takes unsigned webhooks where no key is set, on loopback only.

    Raises:
        LifecycleError: the port is taken, or there is no key to check webhooks with.
    """
    checked_with = keys.required(host, is_insecure=insecure)
    if keys.is_loopback(host) and not processes.is_port_free(port):
        raise LifecycleError(f"Port {port} is taken", hint="Stop what uses it, or give another one with --port")
    uvicorn.Server(config(create_app(checked_with), port, host)).run()
