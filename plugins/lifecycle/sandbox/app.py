"""The sandbox as one small web server: both providers' addresses, the inbox page and its JSON."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.sandbox import inbox, sendgrid_api, twilio_api
from lifecycle.sandbox.storage import Storage

_TWILIO_MESSAGES = "/2010-04-01/Accounts/{account_sid}/Messages"

_ROUTES = [
    Route("/v3/mail/send", sendgrid_api.mail_send, methods=["POST"]),
    Route(f"{_TWILIO_MESSAGES}.json", twilio_api.list_messages, methods=["GET"]),
    Route(f"{_TWILIO_MESSAGES}.json", twilio_api.create_message, methods=["POST"]),
    Route(f"{_TWILIO_MESSAGES}/{{sid}}.json", twilio_api.fetch_message, methods=["GET"]),
    Route("/messages.json", inbox.messages_json, methods=["GET"]),
    Route("/messages.json", inbox.clear_messages, methods=["DELETE"]),
    Route("/deliveries.json", inbox.deliveries_json, methods=["GET"]),
    Route("/messages/{id:int}", inbox.message_page, methods=["GET"]),
    Route("/", inbox.inbox_page, methods=["GET"]),
]


def create_app(database_path: Path) -> Starlette:
    """The sandbox over one SQLite file; what the file already holds is shown again."""
    app = Starlette(
        routes=[Route("/health", _health), *_ROUTES],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _http_error},
    )
    app.state.database_path = database_path
    return app


def serve(port: int, host: str = "127.0.0.1") -> None:
    """Run the sandbox until it is told to stop (Ctrl-C, SIGTERM), saying nothing unless something is wrong.

    Its inbox has no login and shows names and addresses, so it belongs on loopback or in a private network.
    """
    app = create_app(settings.home() / "sandbox.sqlite")
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    with bound_socket(port, host) as listening:
        uvicorn.Server(config).run(sockets=[listening])


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
    app.state.storage = Storage(app.state.database_path)
    try:
        yield
    finally:
        app.state.storage.close()


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error(request: Request, error: Exception) -> Response:
    """A wrong address or method, in the words of the provider it was meant for."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/v3/"):
        known = {404: sendgrid_api.NOT_FOUND, 405: sendgrid_api.NOT_ALLOWED}
        return sendgrid_api.refusal(error.status_code, known.get(error.status_code, sendgrid_api.NOT_JSON))
    if request.url.path.startswith("/2010-04-01/"):
        return twilio_api.refusal({405: twilio_api.NOT_ALLOWED}.get(error.status_code, twilio_api.NOT_FOUND))
    return PlainTextResponse(error.detail, error.status_code, error.headers)
