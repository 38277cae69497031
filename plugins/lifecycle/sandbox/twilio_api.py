"""Twilio's side of the sandbox: create, fetch and list messages."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lifecycle.sandbox.messages import Received, sms_of
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.storage import Message
from lifecycle.sandbox.validation import TwilioError, twilio_error

MAX_BODY_BYTES = 1024 * 1024
MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50

NOT_AUTHENTICATED = TwilioError(401, 20003, "Authenticate")
NOT_FOUND = TwilioError(404, 20404, "The requested resource was not found")
NOT_ALLOWED = TwilioError(405, 20004, "Method not allowed")
NOT_A_FORM = TwilioError(400, 20001, "The request body is not a form")
NOT_A_DATE = TwilioError(400, 20001, "DateSent is not a date")
TOO_LARGE = TwilioError(413, 20001, "The request body is too large")

_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_KEY_SID = re.compile(r"SK[0-9a-fA-F]{32}")


async def create_message(request: Request) -> Response:
    """Take an SMS, or refuse it as Twilio does."""
    denied = _denied(request)
    if denied:
        return refusal(denied)
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        return refusal(TOO_LARGE)
    try:
        text = raw.decode("ascii")
        form = parse_qs(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=1000)
    except ValueError:
        return refusal(NOT_A_FORM)
    error = twilio_error(form)
    return refusal(error) if error else _take(request, text, form)


def _take(request: Request, text: str, form: dict[str, list[str]]) -> Response:
    postbox: Postbox = request.app.state.postbox
    sid = ("MM" if form.get("MediaUrl") else "SM") + secrets.token_hex(16)
    message = sms_of({name: values[-1] for name, values in form.items()}, sid)
    # What was just stored is not read again: that would cost more than storing it did.
    taken_at = datetime.fromtimestamp(postbox.accept(text, [message]), timezone.utc)
    status = "queued" if any(form.get("From", [])) else "accepted"
    account_sid = request.path_params["account_sid"]
    return JSONResponse(_resource(message, form, taken_at, account_sid, status), status_code=201)


async def fetch_message(request: Request) -> Response:
    """One message by its SID."""
    denied = _denied(request)
    if denied:
        return refusal(denied)
    message = request.app.state.storage.sms(request.path_params["sid"])
    if not message:
        return refusal(NOT_FOUND)
    return JSONResponse(_stored(message, request.path_params["account_sid"]))


async def list_messages(request: Request) -> Response:
    """The newest messages first, by pages; To, From and DateSent narrow them, and the newest may not be listed yet."""
    denied = _denied(request)
    if denied:
        return refusal(denied)
    asked = request.query_params
    number = _whole(asked.get("Page"), 0)
    size = min(max(_whole(asked.get("PageSize"), DEFAULT_PAGE_SIZE), 1), MAX_PAGE_SIZE)
    try:
        sent_from, sent_until = _sent_between(asked)
    except ValueError:
        return refusal(NOT_A_DATE)
    postbox: Postbox = request.app.state.postbox
    found = postbox.storage.sms_list(
        indexed_until=postbox.now - postbox.switches.behaviour.twilio_index_lag_seconds,
        to_address=asked.get("To") or None,
        sender=asked.get("From") or None,
        sent_from=sent_from,
        sent_until=sent_until,
        limit=size + 1,
        offset=number * size,
    )
    return JSONResponse(_page(request, found[:size], number, size, has_next=len(found) > size))


def _sent_between(asked: Mapping[str, str]) -> tuple[float | None, float | None]:
    """The span of time that the three DateSent filters leave; a bare date is its midnight in UTC.

    Raises:
        ValueError: one of them is no date.
    """
    on = _moment(asked.get("DateSent"))
    if on:
        day = on.replace(hour=0, minute=0, second=0, microsecond=0)
        return day.timestamp(), (day + timedelta(days=1)).timestamp()
    after, before = _moment(asked.get("DateSent>")), _moment(asked.get("DateSent<"))
    return after.timestamp() if after else None, before.timestamp() if before else None


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _page(request: Request, found: list[Message], number: int, size: int, *, has_next: bool) -> dict[str, Any]:
    account_sid = request.path_params["account_sid"]
    return {
        "messages": [_stored(message, account_sid) for message in found],
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(len(found) - 1, 0),
        "uri": _page_uri(request, number, size),
        "first_page_uri": _page_uri(request, 0, size),
        "previous_page_uri": _page_uri(request, number - 1, size) if number else None,
        "next_page_uri": _page_uri(request, number + 1, size) if has_next else None,
    }


def _page_uri(request: Request, number: int, size: int) -> str:
    return f"{request.url.path}?{urlencode({**request.query_params, 'PageSize': size, 'Page': number})}"


def _stored(message: Message, account_sid: str) -> dict[str, Any]:
    """What Twilio last said about a message; while nothing is simulated, everything arrives at once."""
    taken_at = datetime.fromisoformat(message.received_at)
    return _resource(message, parse_qs(message.request), taken_at, account_sid, message.status or "delivered")


def _resource(
    message: Message | Received, form: dict[str, list[str]], taken_at: datetime, account_sid: str, status: str
) -> dict[str, Any]:
    """The message as Twilio's API shows it."""
    uri = f"/2010-04-01/Accounts/{account_sid}/Messages/{message.provider_id}"
    created = format_datetime(taken_at)
    sender = form.get("From", [""])[-1] or None
    service = form.get("MessagingServiceSid", [""])[-1] or None
    return {
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "body": message.text,
        "date_created": created,
        "date_sent": created if status not in ("queued", "accepted") else None,
        "date_updated": created,
        "direction": "outbound-api",
        "error_code": 30003 if status == "undelivered" else None,
        "error_message": None,
        "from": sender,
        "messaging_service_sid": service,
        "num_media": str(len(form.get("MediaUrl", []))),
        "num_segments": "0" if not sender and status == "accepted" else str(message.sms_parts),
        "price": None,
        "price_unit": "USD",
        "sid": message.provider_id,
        "status": status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to_address,
        "uri": f"{uri}.json",
    }


def _denied(request: Request) -> TwilioError | None:
    account_sid = request.path_params["account_sid"]
    user, secret = _basic_credentials(request.headers.get("authorization", ""))
    if not secret or (user != account_sid and not _KEY_SID.fullmatch(user)):
        return NOT_AUTHENTICATED
    return None if _ACCOUNT_SID.fullmatch(account_sid) else NOT_FOUND


def _basic_credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, secret


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else default


def refusal(error: TwilioError) -> JSONResponse:
    """An error answer in Twilio's shape."""
    return JSONResponse(error.body(), status_code=error.status)
