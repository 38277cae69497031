"""The receiver as an ASGI app: pages for people, webhooks for providers, tills, and what all are held to."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.receiver import keys
from lifecycle.receiver.limits import Guard, Limits
from lifecycle.receiver.pages import HEADERS, Pages, unknown_link
from lifecycle.receiver.tills import Tills
from lifecycle.receiver.webhooks import Webhooks

log = logging.getLogger(__name__)


def create_app(checked_with: keys.WebhookKeys | None = None) -> Starlette:
    """The receiver as an ASGI app; without keys it takes the configured ones."""
    limits = Limits()
    pages = Pages(limits)
    webhooks = Webhooks(checked_with or keys.configured(), limits)
    tills = Tills(settings.voucher_tokens(), limits)
    app = Starlette(
        routes=[
            *_page_routes(pages),
            *_webhook_routes(webhooks),
            Route("/vouchers/redeem", tills.redeem, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, headers=HEADERS)],
        exception_handlers={LifecycleError: _database_is_away, 404: _not_found},
    )
    app.state.limits = limits
    app.state.counts = webhooks.counts
    return app


def serve(port: int, host: str = "127.0.0.1", *, insecure: bool = False) -> None:
    """Run the receiver until it is stopped.

    Raises:
        LifecycleError: the port is taken, or there is no key to check webhooks with.
    """
    from lifecycle.receiver import server

    server.serve(port, host, insecure=insecure)


def _page_routes(pages: Pages) -> list[Route]:
    return [
        Route("/health", _health),
        Route("/l/{code}", pages.open_link, methods=["GET", "HEAD"]),
        Route("/l/{code}", pages.answer, methods=["POST"]),
        Route("/r/{code}", pages.welcome, methods=["GET", "HEAD"]),
        Route("/u/{code}", pages.show_unsubscribe, methods=["GET", "HEAD"]),
        Route("/u/{code}", pages.unsubscribe, methods=["POST"]),
        Route("/p/{code}", pages.show_preferences, methods=["GET", "HEAD"]),
        Route("/p/{code}", pages.set_preferences, methods=["POST"]),
    ]


def _webhook_routes(webhooks: Webhooks) -> list[Route]:
    return [
        Route("/sendgrid/events", webhooks.sendgrid_events, methods=["POST"]),
        Route("/twilio/status", webhooks.twilio_status, methods=["POST"]),
        Route("/twilio/inbound", webhooks.twilio_inbound, methods=["POST"]),
    ]


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _not_found(_: Request, error: Exception) -> Response:
    return unknown_link()


async def _database_is_away(_: Request, error: Exception) -> Response:
    log.error("cannot answer: %s", error)
    return Response(status_code=503, headers={**HEADERS, "Retry-After": "30"})
