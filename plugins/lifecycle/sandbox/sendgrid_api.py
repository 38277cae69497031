"""SendGrid's side of the sandbox: `POST /v3/mail/send`."""

from __future__ import annotations

import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lifecycle.sandbox.messages import emails_of
from lifecycle.sandbox.pages import page
from lifecycle.sandbox.storage import Storage
from lifecycle.sandbox.validation import SendGridError, sendgrid_errors

MAX_BODY_BYTES = 30 * 1024 * 1024

NOT_AUTHORIZED = SendGridError("The provided authorization grant is invalid, expired, or revoked")
NOT_JSON = SendGridError("Bad Request")
NOT_SUPPORTED = SendGridError("Content-Type should be application/json.")
NOT_ALLOWED = SendGridError("method not allowed")
NOT_FOUND = SendGridError("not found")


async def mail_send(request: Request) -> Response:
    """Take an email to one or many people, or refuse it as SendGrid does."""
    if not _is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, NOT_SUPPORTED)
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        return HTMLResponse(page("too_large.html.j2"), status_code=413)
    return _take(request.app.state.storage, raw)


def _take(storage: Storage, raw: bytes) -> Response:
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, parse_constant=_refuse_constant)
        _refuse_lone_surrogates(body)
    except (ValueError, RecursionError):
        return refusal(400, NOT_JSON)
    problems = sendgrid_errors(body)
    if problems:
        return refusal(400, *problems)
    if body.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
        return Response(status_code=200)
    provider_id = secrets.token_urlsafe(16)[:22]
    storage.keep(text, emails_of(body, provider_id))
    return Response(status_code=202, headers={"X-Message-Id": provider_id})


def _is_authorized(request: Request) -> bool:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(key.strip())


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_lone_surrogates(body: Any) -> None:
    json.dumps(body, ensure_ascii=False).encode("utf-8")


def refusal(status: int, *errors: SendGridError) -> JSONResponse:
    """An error answer in SendGrid's shape."""
    return JSONResponse({"errors": [vars(error) for error in errors]}, status_code=status)
