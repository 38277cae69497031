"""The sandbox as one small web server: both providers' addresses, the inbox page and its JSON."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.sandbox import controls, inbox, logs_api, scheduling, sendgrid_api, twilio_api
from lifecycle.sandbox.courier import Courier
from lifecycle.sandbox.faults import Faults, FaultyProviders
from lifecycle.sandbox.options import BadOptionError, read
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.storage import Storage
from lifecycle.sandbox.switches import KINDS, Switches

_TWILIO_MESSAGES = "/2010-04-01/Accounts/{account_sid}/Messages"

_SWITCH = ["GET", "PUT", "DELETE"]

# Longer than a sender that waits for its database leaves a connection idle: one that is closed while the next message is
# written to it leaves that message uncertain.
KEEP_ALIVE_SECONDS = 75

_ROUTES = [
    Route("/v3/mail/send", sendgrid_api.mail_send, methods=["POST"]),
    Route(f"{_TWILIO_MESSAGES}.json", twilio_api.create_message, methods=["POST"]),
    Route("/v3/mail/batch", scheduling.create_batch, methods=["POST"]),
    Route("/v3/mail/batch/{batch_id}", scheduling.check_batch, methods=["GET"]),
    Route("/v3/user/scheduled_sends", scheduling.stop_batch, methods=["POST"]),
    Route("/v3/user/scheduled_sends", scheduling.stopped_batches, methods=["GET"]),
    Route("/v3/user/scheduled_sends/{batch_id}", scheduling.stopped_batch, methods=["GET"]),
    Route("/v3/user/scheduled_sends/{batch_id}", scheduling.change_batch, methods=["PATCH"]),
    Route("/v3/user/scheduled_sends/{batch_id}", scheduling.resume_batch, methods=["DELETE"]),
    Route("/v3/logs", logs_api.search_logs, methods=["POST"]),
    Route("/v3/logs/{sg_message_id}", logs_api.log_details, methods=["GET"]),
    Route(f"{_TWILIO_MESSAGES}.json", twilio_api.list_messages, methods=["GET"]),
    Route(f"{_TWILIO_MESSAGES}/{{sid}}.json", twilio_api.fetch_message, methods=["GET"]),
    Route("/messages.json", inbox.messages_json, methods=["GET"]),
    Route("/messages.json", inbox.clear_messages, methods=["DELETE"]),
    Route("/deliveries.json", inbox.deliveries_json, methods=["GET"]),
    Route("/stats.json", controls.stats, methods=["GET"]),
    Route("/purchases.json", controls.purchases, methods=["GET"]),
    Route("/clock", controls.clock, methods=["GET", "POST"]),
    Route("/faults", controls.faults, methods=_SWITCH),
    *(Route(f"/{name}", controls.group(name), methods=_SWITCH) for name in KINDS),
    Route("/messages/{id:int}", inbox.message_page, methods=["GET"]),
    Route("/", inbox.inbox_page, methods=["GET"]),
]


def create_app(database_path: Path) -> Starlette:
    """The sandbox over one SQLite file; what the file already holds is shown again."""
    app = Starlette(
        routes=[*_ROUTES, Route("/health", _health)],
        middleware=[Middleware(FaultyProviders)],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _client_is_gone},
    )
    app.state.database_path = database_path
    app.state.faults = Faults()
    app.state.initially = {}
    return app


def serve(
    port: int,
    host: str = "127.0.0.1",
    *,
    latency_ms: float = 0,
    webhooks: Mapping[str, Any] | None = None,
    people: Mapping[str, Any] | None = None,
    behaviour: Mapping[str, Any] | None = None,
) -> None:
    """Run the sandbox until it is told to stop (Ctrl-C, SIGTERM), saying nothing unless something is wrong.

    Its inbox has no login and shows names and addresses, so it belongs on loopback or in a private network.
    `webhooks`, `people` and `behaviour` may be given as the JSON objects their addresses take; what is not given stays
    as it was when the sandbox last ran.

    Raises:
        LifecycleError: the port is taken, or a switch cannot be read.
    """
    app = create_app(settings.home() / "sandbox.sqlite")
    wanted = {"webhooks": webhooks, "people": people, "behaviour": behaviour}
    _prepare(app, latency_ms, {name: given for name, given in wanted.items() if given is not None})
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    with bound_socket(port, host) as listening:
        uvicorn.Server(config).run(sockets=[listening])


def _prepare(app: Starlette, latency_ms: float, switches: Mapping[str, Any]) -> None:
    """Check what is to be switched on before anything starts; it is switched on when the file is open."""
    try:
        app.state.faults.turn({"latency_ms": latency_ms})
        for name, given in switches.items():
            read(KINDS[name], given)
    except BadOptionError as error:
        raise LifecycleError(
            f"The sandbox cannot be set up: {error}", hint="docs/how-to/try-failures-and-reactions.md"
        ) from error
    app.state.initially = dict(switches)


def bound_socket(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that owns the port, so that a taken one is reported before anything starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise _not_bound(error, port, host) from error
    return listening


def _not_bound(error: OSError, port: int, host: str) -> LifecycleError:
    if error.errno == errno.EADDRINUSE:
        return LifecycleError(f"Port {port} on {host} is already taken", hint="Choose another one")
    return LifecycleError(f"Port {port} on {host} cannot be used: {error.strerror}", hint="Choose another one")


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    state = app.state
    state.storage = Storage(state.database_path)
    switches = Switches(state.storage)
    for name, given in state.initially.items():
        switches.turn(name, given)
    state.postbox = Postbox(state.storage, switches)
    state.courier = Courier(state.postbox)
    work = asyncio.create_task(state.courier.run())
    try:
        yield
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        state.storage.close()


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _client_is_gone(request: Request, error: Exception) -> Response:
    """A client that was killed while it wrote: nothing was taken, and nobody reads this."""
    return Response(status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    """A wrong address or method, in the words of the provider it was meant for."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/v3/"):
        known = {404: sendgrid_api.NOT_FOUND, 405: sendgrid_api.NOT_ALLOWED}
        return sendgrid_api.refusal(error.status_code, known.get(error.status_code, sendgrid_api.NOT_JSON))
    if request.url.path.startswith("/2010-04-01/"):
        return twilio_api.refusal({405: twilio_api.NOT_ALLOWED}.get(error.status_code, twilio_api.NOT_FOUND))
    return PlainTextResponse(error.detail, error.status_code, error.headers)
