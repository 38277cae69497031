"""What a test or a demo switches on, over HTTP; each answers with how things are now."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lifecycle.sandbox.clock import as_text
from lifecycle.sandbox.courier import Courier
from lifecycle.sandbox.faults import Faults
from lifecycle.sandbox.options import BadOptionError, number
from lifecycle.sandbox.postbox import Postbox

MAX_SKIP_SECONDS = 366 * 24 * 3600

Endpoint = Callable[[Request], Awaitable[Response]]


async def faults(request: Request) -> Response:
    """PUT, GET or DELETE the faults of both providers."""
    state: Faults = request.app.state.faults
    if request.method == "PUT":
        try:
            state.turn(await _given(request))
        except BadOptionError as error:
            return _bad(error)
    elif request.method == "DELETE":
        state.turn_off()
    return JSONResponse(state.state())


def group(name: str) -> Endpoint:
    """PUT, GET or DELETE one group of switches."""

    async def endpoint(request: Request) -> Response:
        postbox: Postbox = request.app.state.postbox
        if request.method == "PUT":
            try:
                postbox.switches.turn(name, await _given(request))
            except BadOptionError as error:
                return _bad(error)
        elif request.method == "DELETE":
            postbox.switches.turn_off(name)
        courier: Courier = request.app.state.courier
        courier.look()
        return JSONResponse({**postbox.switches.state(name), **_counts(postbox, courier, name)})

    return endpoint


async def clock(request: Request) -> Response:
    """POST puts the clock forward; whatever became due happens before the answer."""
    postbox: Postbox = request.app.state.postbox
    if request.method == "POST":
        try:
            given = await _given(request)
            if not isinstance(given, dict) or set(given) != {"advance_seconds"}:
                raise BadOptionError("give advance_seconds")
            postbox.switches.skip(number(0, MAX_SKIP_SECONDS)(given["advance_seconds"]))
        except BadOptionError as error:
            return _bad(error)
    postbox.release()
    return JSONResponse({"now": as_text(postbox.now), "skipped_seconds": postbox.switches.clock.skipped_seconds})


async def stats(request: Request) -> Response:
    """Everything in numbers."""
    postbox: Postbox = request.app.state.postbox
    postbox.release()
    return JSONResponse(postbox.storage.stats())


async def purchases(request: Request) -> Response:
    """Who bought something because of a message: for a demo, which turns them into orders."""
    postbox: Postbox = request.app.state.postbox
    rows = [dict(row) for row in postbox.storage.rows("purchases", now=postbox.now)]
    return JSONResponse([{**row, "bought_at": as_text(row.pop("due_at"))} for row in rows])


def _counts(postbox: Postbox, courier: Courier, name: str) -> dict[str, Any]:
    if name != "webhooks":
        return {}
    waiting = {row["state"]: row["happenings"] for row in postbox.storage.rows("happenings_by_state")}
    return {"counts": {"pending": 0, "done": 0, "given_up": 0, **waiting, **courier.counts}}


async def _given(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise BadOptionError("this is not JSON") from None


def _bad(error: BadOptionError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)
