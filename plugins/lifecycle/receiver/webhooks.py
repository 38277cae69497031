"""What the providers tell us: SendGrid's events, Twilio's status callbacks and the texts people send back.

Only what is signed is read; what is answered with 200 is committed together with its effect (reliability §4).
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from lifecycle import delivery_events, links, opt_outs
from lifecycle.receiver.keys import WebhookKeys
from lifecycle.receiver.limits import MAX_WEBHOOK_BYTES, Limits, Refused
from lifecycle.webhook_signatures import is_from_sendgrid, is_from_twilio

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

log = logging.getLogger(__name__)

MAX_EVENTS = 10_000
MAX_DEPTH = 32
MAX_FIELDS = 1_000
_TRIES = 3
# Postgres ended one of two transactions that waited for each other: the next try goes through.
_DEADLOCKS = {"40P01", "40001"}
# Twilio answers STOP, START and HELP itself.
_NO_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

Value = TypeVar("Value")


class Webhooks:
    """The three addresses that providers call."""

    def __init__(self, keys: WebhookKeys, limits: Limits) -> None:
        self.keys = keys
        self.limits = limits
        self.counts: Counter[str] = Counter()

    async def sendgrid_events(self, request: Request) -> Response:
        """A batch of SendGrid's events."""
        body = await self.limits.read_body(request, MAX_WEBHOOK_BYTES)
        return await self.limits.in_thread(self._receive_sendgrid, request, body)

    async def twilio_status(self, request: Request) -> Response:
        """What became of one SMS; our message id stands in the address, which is signed."""
        fields = await self._signed_form(request, "/twilio/status")
        event = delivery_events.from_twilio(fields, request.query_params.get("message_id", ""))
        if event is None:
            self.counts["unreadable"] += 1
            return Response()
        await self.limits.in_thread(
            in_transaction, lambda connection: delivery_events.receive(connection, "twilio", [event])
        )
        return Response()

    async def twilio_inbound(self, request: Request) -> Response:
        """A text from a person."""
        fields = await self._signed_form(request, "/twilio/inbound")
        await self.limits.in_thread(in_transaction, lambda connection: opt_outs.receive_sms(connection, fields))
        return Response(_NO_REPLY, media_type="text/xml")

    def _receive_sendgrid(self, request: Request, body: bytes) -> Response:
        if not self._is_sendgrid(request, body):
            raise self._forged("sendgrid")
        found = [delivery_events.from_sendgrid(item) for item in parse_events(body)]
        events = [event for event in found if event]
        received = in_transaction(lambda connection: delivery_events.receive(connection, "sendgrid", events))
        self.counts.update(events=received.new, unknown=received.unknown, unreadable=len(found) - len(events))
        if received.unknown:
            log.info("%d events are about messages nobody knows here", received.unknown)
        return Response()

    def _is_sendgrid(self, request: Request, body: bytes) -> bool:
        if not self.keys.sendgrid:
            return self.keys.is_unchecked
        return is_from_sendgrid(self.keys.sendgrid, body, request.headers, time.time())

    async def _signed_form(self, request: Request, path: str) -> dict[str, str]:
        body = await self.limits.read_body(request, MAX_WEBHOOK_BYTES)
        query = request.scope["query_string"].decode("latin-1")
        # The address as Twilio knows it: what Host and X-Forwarded-* say is anybody's (threat T8).
        url = f"{links.base_url()}{path}{'?' if query else ''}{query}"
        try:
            text = body.decode("utf-8")
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            raise self._forged("twilio") from None
        if not self._is_twilio(url, pairs, request):
            raise self._forged("twilio")
        return dict(pairs)

    def _is_twilio(self, url: str, pairs: list[tuple[str, str]], request: Request) -> bool:
        if not self.keys.twilio:
            return self.keys.is_unchecked
        return is_from_twilio(self.keys.twilio, url, pairs, request.headers)

    def _forged(self, provider: str) -> Refused:
        self.counts["forged"] += 1
        if self.counts["forged"] in (1, 10, 100) or self.counts["forged"] % 1000 == 0:
            log.warning("refused a request in the name of %s, the %dth", provider, self.counts["forged"])
        return Refused(403)


def parse_events(body: bytes) -> list[Any]:
    """The entries of a webhook's array.

    Raises:
        Refused: it is no array, nested deeper or longer than any provider would send.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400) from None
    if not isinstance(found, list) or _is_too_deep(found):
        raise Refused(400)
    if len(found) > MAX_EVENTS:
        raise Refused(413)
    return found


def _is_too_deep(found: Any) -> bool:
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def in_transaction(work: Callable[[Connection], Value]) -> Value:
    """Work in one transaction of the receiver's role, again when Postgres broke off a deadlock."""
    from sqlalchemy.exc import OperationalError

    for tries_left in reversed(range(_TRIES)):
        try:
            with delivery_events.transaction() as connection:
                return work(connection)
        except OperationalError as error:
            if not tries_left or getattr(error.orig, "sqlstate", "") not in _DEADLOCKS:
                raise
    raise AssertionError
