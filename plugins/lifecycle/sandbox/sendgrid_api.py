"""SendGrid's side of the sandbox: `POST /v3/mail/send`, and what its other addresses share with it."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lifecycle.sandbox.messages import emails_of
from lifecycle.sandbox.pages import page
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.validation import SendGridError, sendgrid_errors

MAX_BODY_BYTES = 30 * 1024 * 1024

NOT_AUTHORIZED = SendGridError("The provided authorization grant is invalid, expired, or revoked")
NOT_JSON = SendGridError("Bad Request")
NOT_SUPPORTED = SendGridError("Content-Type should be application/json.")
NOT_ALLOWED = SendGridError("method not allowed")
NOT_FOUND = SendGridError("not found")
NO_BATCH = SendGridError("The batch_id is not valid.", "batch_id")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


async def mail_send(request: Request) -> Response:
    """Take an email to one or many people, or refuse it as SendGrid does."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, NOT_SUPPORTED)
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        return HTMLResponse(page("too_large.html.j2"), status_code=413)
    return take(request.app.state.postbox, raw)


def take(postbox: Postbox, raw: bytes) -> Response:
    """Judge a body and keep it: everything but HTTP."""
    try:
        text = raw.decode("utf-8")
        body = _parsed(text)
    except (ValueError, RecursionError):
        return refusal(400, NOT_JSON)
    problems = sendgrid_errors(body, postbox.now)
    if problems:
        return refusal(400, *problems)
    batch_id = body.get("batch_id")
    if batch_id and not postbox.storage.rows("batch", batch_id=batch_id):
        return refusal(400, NO_BATCH)
    if body.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
        return Response(status_code=200)
    provider_id = secrets.token_urlsafe(16)[:22]
    postbox.accept(text, list(emails_of(body, provider_id)), batch_id)
    return Response(status_code=202, headers={"X-Message-Id": provider_id})


async def json_object(request: Request) -> dict[str, Any] | None:
    """The JSON object of a request; none when it is something else."""
    try:
        given = _parsed((await request.body()).decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def is_authorized(request: Request) -> bool:
    """Whether an API key came along; any will do."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(key.strip())


def _parsed(text: str) -> Any:
    """Strict JSON; half a surrogate pair, which cannot be stored, is refused too."""
    body = json.loads(text, parse_constant=_refuse_constant)
    if _SURROGATE.search(text):
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def refusal(status: int, *errors: SendGridError) -> JSONResponse:
    """An error answer in SendGrid's shape."""
    return JSONResponse({"errors": [vars(error) for error in errors]}, status_code=status)
