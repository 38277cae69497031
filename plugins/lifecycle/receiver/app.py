"""The pages people reach from a message. GET shows, POST acts: a link scanner can change nothing (RFC 8058, threat T4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lifecycle import database, engagements, links, rendering, settings
from lifecycle.errors import LifecycleError
from lifecycle.receiver.visitors import is_machine

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
_ANSWER_KINDS = {"answer", "entry"}


def create_app() -> Starlette:
    """The receiver as an ASGI app."""
    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/l/{code}", _open_link, methods=["GET", "HEAD"]),
            Route("/l/{code}", _answer, methods=["POST"]),
            Route("/u/{code}", _show_unsubscribe, methods=["GET", "HEAD"]),
            Route("/u/{code}", _unsubscribe, methods=["POST"]),
        ],
        exception_handlers={LifecycleError: _database_is_away, 404: _not_found},
    )


def serve(port: int, host: str = "127.0.0.1") -> None:
    """Run the receiver until it is stopped.

    Raises:
        LifecycleError: the port is taken.
    """
    import uvicorn

    from lifecycle import processes

    if host == "127.0.0.1" and not processes.is_port_free(port):
        raise LifecycleError(f"Port {port} is taken", hint="Stop what uses it, or give another one with --port")
    uvicorn.run(create_app(), host=host, port=port, log_level="warning", access_log=False, server_header=False)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _open_link(request: Request) -> Response:
    machine = is_machine(request.method, request.headers)

    def work(connection: Connection, link: Row[Any]) -> Response:
        engagements.record_click(connection, link, is_machine=machine)
        if link.target_url:
            return RedirectResponse(link.target_url, status_code=302, headers=_HEADERS)
        return _landing_page(connection, link)

    return await run_in_threadpool(_with_link, request, work, links.UNSUBSCRIBE, False)


async def _answer(request: Request) -> Response:
    form = await _form(request)
    if form is None or form.get("kind") not in _ANSWER_KINDS:
        return _refused(form)

    def work(connection: Connection, link: Row[Any]) -> Response:
        properties = {name: value for name, value in form.items() if name != "kind"}
        engagements.record(connection, link, form["kind"], properties)
        return _landing_page(connection, link, is_answered=True)

    return await run_in_threadpool(_with_link, request, work, links.UNSUBSCRIBE, False)


def _landing_page(connection: Connection, link: Row[Any], *, is_answered: bool = False) -> Response:
    """The page behind a link. What the person did is kept even when the page is broken."""
    try:
        return _page(engagements.landing_page(connection, link, is_answered=is_answered))
    except (rendering.UnrenderableError, LifecycleError) as error:
        log.error("the landing page of %s/%s is broken: %s", link.journey, link.name, error)
        return _unknown_link(500)


async def _show_unsubscribe(request: Request) -> Response:
    return await run_in_threadpool(_with_link, request, _unsubscribe_page, links.UNSUBSCRIBE, True)


async def _unsubscribe(request: Request) -> Response:
    form = await _form(request)
    if form is None:
        return _refused(form)
    # Mail clients post `List-Unsubscribe=One-Click` without any context; the page's own button posts without it.
    source = "one_click" if form.get("List-Unsubscribe") == "One-Click" else "unsubscribe_page"

    def work(connection: Connection, link: Row[Any]) -> Response:
        engagements.unsubscribe(connection, link, source)
        return _unsubscribe_page(connection, link, is_done=True)

    return await run_in_threadpool(_with_link, request, work, links.UNSUBSCRIBE, True)


def _unsubscribe_page(connection: Connection, link: Row[Any], is_done: bool = False) -> Response:
    values = {"channel": link.channel, "is_done": is_done, "sender_name": settings.sender_name()}
    return _page(rendering.render_page("pages/unsubscribe.page.html", values, _locale(connection, link)))


def _locale(connection: Connection, link: Row[Any]) -> str | None:
    from lifecycle import delivery

    customer = delivery.customers(connection, [link.customer_id]).get(link.customer_id)
    return customer.locale if customer else None


def _with_link(
    request: Request, work: Callable[[Connection, Row[Any]], Response], name: str, is_that_name: bool
) -> Response:
    """Look the code up and work in one transaction; a code of the other kind is as unknown as any."""
    with database.transaction() as connection:
        link = engagements.find_link(connection, request.path_params["code"])
        if link is None or (link.name == name) is not is_that_name:
            return _unknown_link()
        return work(connection, link)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form, or None when it is larger than any form of ours."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    from urllib.parse import parse_qsl

    try:
        # Postgres stores no NUL, neither in a name nor in a value.
        text = body.decode("utf-8", errors="replace").replace("\x00", "").replace("%00", "")
        return dict(parse_qsl(text, max_num_fields=engagements.MAX_FIELDS + 5))
    except ValueError:
        return None


def _refused(form: dict[str, str] | None) -> Response:
    return Response(status_code=413 if form is None else 400, headers=_HEADERS)


def _page(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status_code=status, headers=_HEADERS)


def _unknown_link(status: int = 404) -> Response:
    return _page(rendering.render_page("pages/unknown_link.page.html", {"sender_name": settings.sender_name()}), status)


async def _not_found(_: Request, error: Exception) -> Response:
    return _unknown_link()


async def _database_is_away(_: Request, error: Exception) -> Response:
    log.error("cannot answer: %s", error)
    return Response(status_code=503, headers={**_HEADERS, "Retry-After": "30"})
