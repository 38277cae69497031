"""What people and tests read: the inbox page and its JSON."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lifecycle.sandbox.pages import page
from lifecycle.sandbox.storage import Filter, Message, Storage

PAGE_SIZE = 60
MAX_LIMIT = 10_000
MAX_NUMBER = 2**63 - 1
CHANNELS = ("email", "sms")

_LINK = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)\]}'。、」）])")


async def messages_json(request: Request) -> Response:
    """The stored messages: newest first, or with `since_id` what came after it, oldest first."""
    storage = _storage(request)
    wanted = _filter(request, default_limit=100)
    since_id = _number(request, "since_id")
    found = storage.newest(wanted) if since_id is None else storage.since(since_id, wanted)
    return JSONResponse([asdict(message) for message in found])


async def clear_messages(request: Request) -> Response:
    """Forget everything that was received."""
    request.app.state.storage.clear()
    return Response(status_code=204)


async def deliveries_json(request: Request) -> Response:
    """How often each of our message ids went out; with `only=duplicates` those that did more than once."""
    at_least = 2 if request.query_params.get("only") == "duplicates" else 1
    return JSONResponse(_storage(request).deliveries(at_least))


async def inbox_page(request: Request) -> Response:
    """The list of messages."""
    return _inbox(request, None)


async def message_page(request: Request) -> Response:
    """One message beside the list."""
    number = request.path_params["id"]
    message = request.app.state.storage.message(number) if number <= MAX_NUMBER else None
    if not message:
        return _html("not_found.html.j2", status_code=404)
    return _inbox(request, message)


def _inbox(request: Request, opened: Message | None) -> Response:
    storage = _storage(request)
    wanted = _filter(request, default_limit=PAGE_SIZE)
    found = storage.newest(replace(wanted, limit=PAGE_SIZE + 1))
    chosen = {"person": wanted.person or "", "channel": wanted.channel or ""}
    return _html(
        "inbox.html.j2",
        messages=found[:PAGE_SIZE],
        older_id=found[PAGE_SIZE - 1].id if len(found) > PAGE_SIZE else None,
        newest_id=max((message.id for message in found), default=0),
        is_first_page=wanted.before_id is None,
        totals=storage.totals(),
        chosen=chosen,
        query=_query,
        opened=opened,
        raw=_raw(opened) if opened else "",
        framed=page("framed.html.j2", html=opened.html) if opened else "",
        linked=linked,
        channels=CHANNELS,
    )


def _storage(request: Request) -> Storage:
    """What was received, with everything let go that is due by now."""
    request.app.state.postbox.release()
    return request.app.state.storage


def _html(name: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A page that may run its own script and nothing else; what it frames inherits the rule."""
    nonce = secrets.token_urlsafe(16)
    rule = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src http: https: data:; "
        "font-src https: data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": rule,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(page(name, nonce=nonce, **values), status_code, headers)


def _filter(request: Request, default_limit: int) -> Filter:
    asked = request.query_params
    return Filter(
        # A plus that was not percent-encoded arrives as a space, and no address contains one.
        to_address=asked.get("to", "").replace(" ", "+") or None,
        person=asked.get("person", "").strip() or None,
        channel=asked.get("channel") or None,
        before_id=_number(request, "before_id"),
        limit=min(_number(request, "limit") or default_limit, MAX_LIMIT),
    )


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _query(**values: Any) -> str:
    """A query string of what is set, with its question mark; empty when nothing is."""
    text = urlencode({name: value for name, value in values.items() if value})
    return f"?{text}" if text else ""


def _raw(message: Message) -> str:
    """The request as it came in, laid out for reading."""
    if message.channel == "email":
        return json.dumps(json.loads(message.request), indent=2, ensure_ascii=False)
    return "\n".join(f"{name}: {', '.join(values)}" for name, values in parse_qs(message.request).items())


def linked(text: str) -> list[tuple[bool, str]]:
    """A text cut into plain pieces and links, in order; each says whether it is a link."""
    return [(place % 2 == 1, piece) for place, piece in enumerate(_LINK.split(text)) if piece]
