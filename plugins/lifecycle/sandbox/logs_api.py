"""SendGrid's Email Logs: which messages it knows, some time after it took them.

The custom arguments of a message cannot be searched for; they are in its details only.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lifecycle.sandbox.clock import as_text
from lifecycle.sandbox.events import Outgoing, sendgrid_event
from lifecycle.sandbox.messages import custom_args
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.sendgrid_api import NOT_AUTHORIZED, NOT_FOUND, is_authorized, json_object, refusal
from lifecycle.sandbox.validation import SendGridError

MAX_LIMIT = 1000
DEFAULT_LIMIT = 10
MAX_EVENTS = 100

_TEXT = r"'[^']*'|\"[^\"]*\""
_CONDITION = re.compile(
    rf"(?P<field>[a-z_]+)\s*(?:=\s*(?P<text>{_TEXT})"
    rf"|IN\s*\(\s*(?P<list>(?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*)\s*\)"
    rf"|(?P<compared>>=|<=|>|<)\s*TIMESTAMP\s*(?P<time>{_TEXT}))\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"AND\b\s*", re.IGNORECASE)
_SG_MESSAGE_ID = re.compile(r"(?P<provider_id>[^.]+)(?:\.recvd-sandbox-(?P<number>[0-9a-f]{1,15})\.0)?")
_COMPARED = {">": "after", ">=": "from", "<": "before", "<=": "until"}
_FILTERS = (
    "number", "provider_id", "to_address", "subject", "after", "from", "before", "until", "categories", "statuses",
)  # fmt: skip

NO_QUERY = SendGridError("invalid query", "query")
NO_LIMIT = SendGridError(f"limit must be between 1 and {MAX_LIMIT}", "limit")


class _BadQueryError(ValueError):
    pass


async def search_logs(request: Request) -> Response:
    """The messages that a query describes, newest first."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    given = await json_object(request)
    limit = given.get("limit", DEFAULT_LIMIT) if given is not None else None
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        return refusal(400, NO_LIMIT)
    try:
        wanted = filters_of((given or {}).get("query", ""))
    except ValueError:
        return refusal(400, NO_QUERY)
    return JSONResponse({"messages": [_summary(row) for row in _found(request, limit=limit, **wanted)]})


async def log_details(request: Request) -> Response:
    """Everything about one message: its custom arguments and its events."""
    if not is_authorized(request):
        return refusal(401, NOT_AUTHORIZED)
    wanted = _ids(request.path_params["sg_message_id"])
    rows = _found(request, limit=1, **wanted) if wanted.get("number") is not None else []
    return JSONResponse(_details(request.app.state.postbox, rows[0])) if rows else refusal(404, NOT_FOUND)


def filters_of(query: Any) -> dict[str, Any]:
    """The conditions of a query, as the statement names them.

    Raises:
        ValueError: it is no query, or asks for a field that cannot be searched.
    """
    if not isinstance(query, str):
        raise _BadQueryError
    wanted: dict[str, Any] = {}
    rest = query.strip()
    while rest:
        found = _CONDITION.match(rest)
        if not found:
            raise _BadQueryError
        wanted |= _condition(found)
        rest = rest[found.end() :]
        if rest:
            rest = _after_and(rest)
    return wanted


def _after_and(rest: str) -> str:
    more = _AND.match(rest)
    if not more or more.end() == len(rest):
        raise _BadQueryError
    return rest[more.end() :]


def _condition(found: re.Match[str]) -> dict[str, Any]:
    name = found["field"].lower()
    if found["text"]:
        return _equal(name, found["text"][1:-1])
    if found["list"]:
        kind = {"status": "statuses", "categories": "categories"}.get(name)
        if not kind:
            raise _BadQueryError
        return {kind: json.dumps([text[1:-1] for text in re.findall(_TEXT, found["list"])])}
    if name != "sg_message_id_created_at":
        raise _BadQueryError
    return {_COMPARED[found["compared"]]: _moment(found["time"][1:-1])}


def _equal(name: str, text: str) -> dict[str, Any]:
    if name == "sg_message_id":
        return _ids(text)
    if name in ("to_email", "subject"):
        return {{"to_email": "to_address", "subject": "subject"}[name]: text}
    raise _BadQueryError


def _ids(sg_message_id: str) -> dict[str, Any]:
    """One recipient's message by its whole id, or all of a request by the part that its answer gave."""
    found = _SG_MESSAGE_ID.fullmatch(sg_message_id)
    if not found:
        return {"number": -1}
    number = int(found["number"], 16) if found["number"] else None
    return {"provider_id": found["provider_id"], "number": number}


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _found(request: Request, limit: int, **wanted: Any) -> list[Any]:
    postbox: Postbox = request.app.state.postbox
    postbox.release()
    until = postbox.now - postbox.switches.behaviour.sendgrid_index_lag_seconds
    values = {**dict.fromkeys(_FILTERS), **wanted}
    return postbox.storage.rows("email_logs", indexed_until=until, limit=limit, **values)


def _summary(row: Any) -> dict[str, Any]:
    return {
        "from_email": row["sender"].rpartition("<")[2].rstrip(">"),
        "sg_message_id": _outgoing(row).sg_message_id,
        "subject": row["subject"],
        "to_email": row["to_address"],
        "reason": "",
        "status": _status(row),
        "sg_message_id_created_at": as_text(row["accepted_at"]),
    }


def _status(row: Any) -> str:
    by_state = {"cancelled": "dropped", "scheduled": "processed"}
    return by_state.get(row["state"]) or row["status"] or "delivered"


def _details(postbox: Postbox, row: Any) -> dict[str, Any]:
    message = postbox.storage.message(row["number"])
    assert message
    body = json.loads(message.request)
    arguments = custom_args(body, postbox.storage.position(row["number"]))
    summary = {
        name: value for name, value in _summary(row).items() if name not in ("sg_message_id_created_at", "reason")
    }
    return {
        **summary,
        "api_key_id": "sandbox",
        "client_ip": "127.0.0.1",
        "category": body.get("categories", []),
        "custom_args": arguments,
        "events": _events(postbox, row, body, arguments),
    }


def _events(postbox: Postbox, row: Any, body: dict[str, Any], arguments: dict[str, str]) -> list[dict[str, Any]]:
    """What was told about a message; before anything was, what its state says."""
    told = [json.loads(one["payload"]) for one in postbox.storage.rows("happenings_of_message", number=row["number"])]
    if not told:
        held = {"scheduled": ["processed"], "cancelled": ["processed", "cancel_drop"]}
        names = held.get(row["state"], ["processed", "delivered"])
        message = _outgoing(row)
        told = [sendgrid_event(name, message, body, row["accepted_at"]) for name in names]
    return [_as_logged(event, arguments) for event in told[:MAX_EVENTS]]


def _as_logged(event: dict[str, Any], arguments: dict[str, str]) -> dict[str, Any]:
    """The Email Logs keep our arguments apart, where the webhook mixes them in."""
    rest = {name: value for name, value in event.items() if name not in arguments}
    return {**rest, "custom_args": arguments}


def _outgoing(row: Any) -> Outgoing:
    return Outgoing(
        row["number"],
        "email",
        row["provider_id"],
        None,
        row["to_address"],
        row["sender"],
        "",
        0,
        None,
        row["accepted_at"],
    )
