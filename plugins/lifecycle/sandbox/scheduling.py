"""SendGrid's scheduled sends: batch ids, and cancelling or pausing what was sent with one."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.sendgrid_api import NOT_AUTHORIZED, NOT_FOUND, is_authorized, json_object, refusal
from lifecycle.sandbox.validation import SendGridError

STATUSES = ("cancel", "pause")

NO_BATCH = SendGridError("invalid batch id")
NO_STATUS = SendGridError("status must be one of cancel, pause", "status")
ALREADY_STOPPED = SendGridError("a status update already exists for this batch id")


async def create_batch(request: Request) -> Response:
    """A new batch id, for mails that can be stopped together."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    batch_id = secrets.token_urlsafe(36)
    _postbox(request).storage.rows("insert_batch", batch_id=batch_id)
    return JSONResponse({"batch_id": batch_id}, status_code=201)


async def check_batch(request: Request) -> Response:
    """Whether a batch id was handed out."""
    return _known(request) or JSONResponse({"batch_id": request.path_params["batch_id"]})


async def stop_batch(request: Request) -> Response:
    """Cancel or pause a batch that is neither yet."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    given = await json_object(request) or {}
    batch_id, status = given.get("batch_id"), given.get("status")
    storage = _postbox(request).storage
    if not isinstance(batch_id, str) or not storage.rows("batch", batch_id=batch_id):
        return refusal(400, NO_BATCH)
    if status not in STATUSES:
        return refusal(400, NO_STATUS)
    if storage.batch_status(batch_id):
        return refusal(400, ALREADY_STOPPED)
    _set(request, batch_id, status)
    return JSONResponse({"batch_id": batch_id, "status": status}, status_code=201)


async def change_batch(request: Request) -> Response:
    """Turn a pause into a cancellation, or back."""
    denied = _known(request)
    if denied:
        return denied
    given = await json_object(request) or {}
    if given.get("status") not in STATUSES:
        return refusal(400, NO_STATUS)
    batch_id = request.path_params["batch_id"]
    if not _postbox(request).storage.batch_status(batch_id):
        return refusal(404, NOT_FOUND)
    _set(request, batch_id, given["status"])
    return Response(status_code=204)


async def resume_batch(request: Request) -> Response:
    """Let a stopped batch go again."""
    denied = _known(request)
    if denied:
        return denied
    _set(request, request.path_params["batch_id"], None)
    return Response(status_code=204)


async def stopped_batches(request: Request) -> Response:
    """Every batch that is cancelled or paused."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    return JSONResponse([dict(row) for row in _postbox(request).storage.rows("stopped_batches")])


async def stopped_batch(request: Request) -> Response:
    """One batch, in a list that is empty when it was not stopped."""
    denied = _known(request)
    if denied:
        return denied
    rows = _postbox(request).storage.rows("batch", batch_id=request.path_params["batch_id"])
    return JSONResponse([dict(row) for row in rows if row["status"]])


def _set(request: Request, batch_id: str, status: str | None) -> None:
    postbox = _postbox(request)
    postbox.release()
    with postbox.storage.transaction():
        notice = postbox.switches.behaviour.cancel_notice_seconds
        if status and notice:
            postbox.storage.rows("detach_imminent", batch_id=batch_id, until=postbox.now + notice)
        postbox.storage.rows("set_batch_status", batch_id=batch_id, status=status)
    postbox.release()


def _known(request: Request) -> Response | None:
    """Why a request about one batch is refused, if it is."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    found = _postbox(request).storage.rows("batch", batch_id=request.path_params["batch_id"])
    return None if found else refusal(400, NO_BATCH)


def _postbox(request: Request) -> Postbox:
    return request.app.state.postbox
