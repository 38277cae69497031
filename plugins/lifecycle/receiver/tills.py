"""What a shop's till or checkout asks: to redeem a voucher. Only who holds a token is answered."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lifecycle import vouchers
from lifecycle.errors import LifecycleError, TryAgainError
from lifecycle.receiver.limits import MAX_FORM_BYTES, Limits, Refused
from lifecycle.receiver.pages import HEADERS
from lifecycle.receiver.webhooks import in_transaction

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_REQUIRED = {"code", "order_id"}
_OPTIONAL = {"customer_id", "at"}


class Tills:
    """The address that tills call."""

    def __init__(self, tokens: tuple[str, ...], limits: Limits) -> None:
        self.tokens = tokens
        self.limits = limits

    async def redeem(self, request: Request) -> Response:
        """Redeem a voucher for an order, or say why not."""
        if not self.tokens:
            raise Refused(404)
        if not self._has_token(request):
            return Response(status_code=401, headers={**HEADERS, "WWW-Authenticate": "Bearer"})
        body = await self.limits.read_body(request, MAX_FORM_BYTES)
        try:
            asked = _asked(body)
        except ValueError as error:
            return _refused(400, str(error))

        try:
            answer = await self.limits.in_thread(_redeemed, asked)
        except TryAgainError:
            raise
        except LifecycleError as error:
            return _refused(400, str(error))
        return _answered(answer)

    def _has_token(self, request: Request) -> bool:
        """Whether a request may be answered.

        Raises:
            Refused: its address has tried many wrong tokens.
        """
        self.limits.require_guess(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # All of them, each in the same time: an answer that comes sooner says nothing.
        is_known = [hmac.compare_digest(given.strip().encode(), token.encode()) for token in self.tokens]
        if scheme.lower() == "bearer" and any(is_known):
            return True
        self.limits.count_guess(request)
        return False


def _redeemed(asked: dict[str, Any]) -> vouchers.Redemption:
    def work(connection: Connection) -> vouchers.Redemption:
        return vouchers.redeem(connection, **asked)

    return in_transaction(work)


def _asked(body: bytes) -> dict[str, Any]:
    """What a till asks for.

    Raises:
        ValueError: it is nothing a till would send; the text says what to change.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("The body is no JSON.") from None
    if not isinstance(found, dict) or not _REQUIRED <= found.keys() <= _REQUIRED | _OPTIONAL:
        raise ValueError("Send an object with code and order_id, and customer_id and at if you like.")
    asked: dict[str, Any] = {name: value for name, value in found.items() if value is not None or name in _REQUIRED}
    if not all(isinstance(value, str) for value in asked.values()):
        raise ValueError("Every value is a text.")
    if "at" in asked:
        try:
            asked["at"] = datetime.fromisoformat(asked["at"].replace("Z", "+00:00"))
        except ValueError:
            raise ValueError("Write at as 2026-03-31T12:00:00+01:00.") from None
    return asked


def _answered(answer: vouchers.Redemption) -> Response:
    said = {name: value for name, value in asdict(answer).items() if value is not None}
    times = {name: value.isoformat() for name, value in said.items() if isinstance(value, datetime)}
    content = {**said, **times, "message": f"{answer.says}."}
    return JSONResponse(content, status_code=200 if answer.is_redeemed else 409, headers=HEADERS)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"outcome": "bad_request", "message": message}, status_code=status, headers=HEADERS)
