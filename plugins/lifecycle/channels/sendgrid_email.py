"""Email through SendGrid's official SDK (`POST /v3/mail/send`).

The SDK waits for ever, follows redirects with the API key in hand and cannot say whether a failed call had already left
(all three seen in python_http_client 3.3.7), so its client is narrowed here to one that does none of this.
"""

from __future__ import annotations

import functools
import http.client
import json
import logging
import re
import time
import urllib.error
from collections.abc import Callable, Mapping
from typing import Any

from lifecycle import settings
from lifecycle.channels import BatchRecipient, EmailBatch, Hold, OutgoingEmail, Receipt, Sought, sendgrid_logs
from lifecycle.channels.accounts import SendGridAccount
from lifecycle.channels.answers import (
    NO_ANSWER,
    NOT_REACHED,
    ODD_ANSWER,
    Meaning,
    meaning_of_status,
    retry_after_seconds,
)
from lifecycle.channels.connections import NeverConnectedError, opener
from lifecycle.errors import TryAgainError

MESSAGE_ID_KEY = "lifecycle_message_id"
"""Name of our message id in `custom_args`; prefixed because events bring it back at their top level."""

ACCEPTED_STATUS = 202
"""The only success: 200 is what SendGrid's own sandbox mode answers, and nothing is sent then."""

CREATED_STATUS = 201
NOT_FOUND_STATUS = 404

BISECTED = (400, 413)
"""Answers that refuse a whole request for what may be one person's fault."""

LONGEST_BATCH_SECONDS = 40.0
"""How long dividing a refused request may take; a claim is held a minute, and whoever is left is tried again."""

OUT_OF_TIME: Meaning = ("retry", "not tried in time")

_BATCH_ID = re.compile(r"[\w\-]{1,200}", re.ASCII)
_PROVIDER_ID = re.compile(r"[\w.\-]{1,200}", re.ASCII)
_ERROR_FIELD = re.compile(r'"field"\s*:\s*"([a-z_]+(?:\.(?:[a-z_]+|\d+))*)"')

log = logging.getLogger(__name__)

# The SDK prints the API key and the whole message at DEBUG.
logging.getLogger("python_http_client").setLevel(logging.WARNING)


class _NotPermittedError(Exception):
    """The API key may send and not read."""


class SendGridEmail:
    """Sends emails, one or a batch per call.

    One instance may be shared by threads: every call opens its own connection, and nothing is changed after the client
    was built.
    """

    def __init__(self, account: SendGridAccount, timeout_seconds: float = 10) -> None:
        self._account = account
        self._timeout_seconds = timeout_seconds

    def send(self, message: OutgoingEmail) -> Receipt:
        """Hand one email to SendGrid and say what became of it."""
        return self.post(mail_body(message))

    def send_many(
        self,
        batch: EmailBatch,
        *,
        within_seconds: float = LONGEST_BATCH_SECONDS,
        hold: Hold | None = None,
    ) -> list[Receipt]:
        """Hand a batch over as one request and say what became of each person, in their order.

        A request that is refused reached nobody. It is halved until whoever made it so is refused alone; whoever was
        taken is not sent again. No further request starts that may take longer than `within_seconds` in all. With
        a `hold` SendGrid keeps the emails back until its time, and `cancel_batch` stops them.
        """
        last_start = time.monotonic() + within_seconds - self._timeout_seconds

        def post(people: list[BatchRecipient]) -> Receipt:
            return self.post(batch_body(batch, people, hold))

        return _bisected(post, batch.recipients, last_start)

    def post(self, body: dict[str, Any]) -> Receipt:
        """Hand over a ready request body."""
        answer = self._call(lambda client: client.mail.send.post(request_body=body))
        return answer if isinstance(answer, Receipt) else _answered(answer.status_code, answer.headers)

    def create_batch_id(self) -> str:
        """A name to hold and cancel emails by.

        Raises:
            TryAgainError: SendGrid gave none; nothing was sent.
        """
        answer = self._call(lambda client: client.mail.batch.post())
        found = "" if isinstance(answer, Receipt) else _batch_id(answer)
        if not found:
            reason = answer.detail if isinstance(answer, Receipt) else "answer not understood"
            raise TryAgainError(f"SendGrid gave no batch id: {reason}", hint="Nothing was sent; run the task again")
        return found

    def cancel_batch(self, batch_id: str) -> bool | None:
        """Stop whatever is held under that name, for good; asking again changes nothing.

        Returns whether SendGrid says by now that it is stopped, or None when it does not say. Until ten minutes before
        the emails' time that is a promise that they are never sent.
        """
        body = {"batch_id": batch_id, "status": "cancel"}
        answer = self._call(lambda client: client.user.scheduled_sends.post(request_body=body))
        if not isinstance(answer, Receipt) and answer.status_code == CREATED_STATUS:
            return True
        # Refused when it was stopped before, or when too many are stopped: the list tells.
        return self._is_cancelled(batch_id)

    def _is_cancelled(self, batch_id: str) -> bool | None:
        answer = self._call(lambda client: client.user.scheduled_sends._(batch_id).get())
        found = None if isinstance(answer, Receipt) else _json(answer.body)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            return None
        return any((one.get("batch_id"), one.get("status")) == (batch_id, "cancel") for one in found)

    def forget_cancelled(self, batch_id: str) -> bool:
        """Take a stopped batch off SendGrid's short list, after its time: before it, this would let it go."""
        answer = self._call(lambda client: client.user.scheduled_sends._(batch_id).delete())
        return not isinstance(answer, Receipt)

    def find(self, sought: list[Sought]) -> dict[str, str]:
        """Message id -> SendGrid's id of those its Email Logs show, empty for the others; left out: cannot be told.

        Raises:
            TryAgainError: SendGrid did not answer, or asks to come later.
        """
        try:
            return sendgrid_logs.Look(
                sought, message_id_key=MESSAGE_ID_KEY, search=self._search, details=self._details
            ).find()
        except _NotPermittedError:
            log.warning("SendGrid does not let this API key read the Email Logs: uncertain emails wait for webhooks")
            return {}

    def _search(self, query: str) -> list[sendgrid_logs.Entry]:
        body = {"query": query, "limit": sendgrid_logs.LIMIT}
        found: Any = self._read(lambda client: client.logs.post(request_body=body))
        try:
            return [sendgrid_logs.Entry(str(one["sg_message_id"]), str(one["to_email"])) for one in found["messages"]]
        except (TypeError, KeyError):
            raise _logs_away("answer not understood") from None

    def _details(self, sg_message_id: str) -> dict[str, Any] | None:
        return self._read(lambda client: client.logs._(sg_message_id).get())

    def _read(self, request: Callable[[Any], Any]) -> dict[str, Any] | None:
        """What the Email Logs answer; None when there is no such email."""
        answer = self._call(request)
        if isinstance(answer, Receipt):
            if answer.http_status == NOT_FOUND_STATUS:
                return None
            if answer.http_status in (401, 403):
                raise _NotPermittedError
            raise _logs_away(answer.detail)
        found = _json(answer.body)
        if not isinstance(found, dict):
            raise _logs_away("answer not understood")
        return found

    def _call(self, request: Callable[[Any], Any]) -> Any:
        """What SendGrid answers to a request, or the receipt of its failure."""
        from python_http_client.exceptions import HTTPError

        try:
            return request(self._client)
        except HTTPError as error:
            return _refused(error)
        except urllib.error.URLError as error:
            return _receipt(NOT_REACHED if isinstance(error.reason, NeverConnectedError) else NO_ANSWER)
        except (OSError, http.client.HTTPException):
            return _receipt(NO_ANSWER)

    @functools.cached_property
    def _client(self) -> Any:
        from sendgrid import SendGridAPIClient

        sdk = SendGridAPIClient(api_key=self._account.api_key, host=self._account.host)
        return _narrowed(sdk.client, self._account.host, self._timeout_seconds)


def mail_body(message: OutgoingEmail) -> dict[str, Any]:
    """The JSON body of one email: text before HTML, our id as the only metadata, SendGrid's own tracking off."""
    return _body(message, [_personalization(message)])


def batch_body(
    batch: EmailBatch, people: list[BatchRecipient] | None = None, hold: Hold | None = None
) -> dict[str, Any]:
    """The JSON body of a batch, for all its people or some of them, in their order."""
    chosen = batch.recipients if people is None else people
    return _body(batch, [_batched_personalization(person) for person in chosen]) | (hold._asdict() if hold else {})


def _batched_personalization(person: BatchRecipient) -> dict[str, Any]:
    made = _personalization(person)
    if person.substitutions:
        made["substitutions"] = person.substitutions
    return made


def _personalization(person: OutgoingEmail | BatchRecipient) -> dict[str, Any]:
    made: dict[str, Any] = {"to": [{"email": person.to}], "custom_args": {MESSAGE_ID_KEY: person.message_id}}
    if person.unsubscribe_url:
        made["headers"] = unsubscribe_headers(person.unsubscribe_url)
    return made


def _body(words: OutgoingEmail | EmailBatch, people: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "personalizations": people,
        "from": {"email": settings.sender_email(), "name": settings.sender_name()},
        "subject": words.subject,
        "content": [
            {"type": kind, "value": value}
            for kind, value in (("text/plain", words.text), ("text/html", words.html))
            if value
        ],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }


def unsubscribe_headers(url: str) -> dict[str, str]:
    """One-click unsubscribe (RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _bisected(
    post: Callable[[list[BatchRecipient]], Receipt], people: list[BatchRecipient], last_start: float
) -> list[Receipt]:
    """Receipts by person. Halves wait in order; once SendGrid asks to come later, they are not tried at all."""
    receipts: list[Receipt] = []
    waiting = [people] if people else []
    stopped: Receipt | None = None
    while waiting:
        some = waiting.pop()
        receipt = stopped or post(some)
        if _is_to_be_divided(receipt, some):
            middle = len(some) // 2
            waiting += [some[middle:], some[:middle]]
        else:
            receipts += [receipt] * len(some)
        if receipt.outcome == "retry":
            stopped = receipt
        elif time.monotonic() > last_start:
            stopped = _receipt(OUT_OF_TIME)
    return receipts


def _is_to_be_divided(receipt: Receipt, people: list[BatchRecipient]) -> bool:
    """Whether a refusal may be the fault of some: not when SendGrid names a field that they all share."""
    if receipt.http_status not in BISECTED or len(people) == 1:
        return False
    return receipt.provider_code.partition(".")[0] not in ("from", "template_id", "batch_id", "send_at")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _logs_away(why: str) -> TryAgainError:
    hint = "Nothing was changed: run the task again when the provider answers"
    return TryAgainError(f"SendGrid did not say which emails it accepted: {why}", hint=hint)


def _batch_id(answer: Any) -> str:
    body = _json(answer.body)
    found = body.get("batch_id") if isinstance(body, dict) else None
    if not isinstance(found, str):
        return ""
    return found if answer.status_code == CREATED_STATUS and _BATCH_ID.fullmatch(found) else ""


def _answered(status: int, headers: Mapping[str, str]) -> Receipt:
    provider_id = headers.get("X-Message-Id") or ""
    if status == ACCEPTED_STATUS and _PROVIDER_ID.fullmatch(provider_id):
        return Receipt("accepted", provider_id=provider_id, http_status=status)
    return _receipt(ODD_ANSWER, status)


def _refused(error: Any) -> Receipt:
    meaning = meaning_of_status(error.status_code)
    wait = retry_after_seconds(error.headers) if meaning[0] == "retry" else None
    return _receipt(meaning, error.status_code, _error_field(error.body) or str(error.status_code), wait)


def _error_field(body: bytes) -> str:
    """Which part of the request SendGrid complains about; its message is left unread, it may quote an address."""
    found = _ERROR_FIELD.search(body.decode("utf-8", "replace"))
    return found[1][:100] if found else ""


def _receipt(meaning: Meaning, status: int | None = None, code: str = "", wait: float | None = None) -> Receipt:
    outcome, detail = meaning
    return Receipt(outcome, http_status=status, provider_code=code, detail=detail, retry_after_seconds=wait)


def _narrowed(client: Any, host: str, timeout_seconds: float) -> Any:
    """The SDK's own client, with a timeout, without redirects, and telling a failed connection from a lost answer."""
    from python_http_client import Client

    sdk_client: Any = Client

    class NarrowClient(sdk_client):
        narrow_opener = opener(host)

        def _build_client(self, name: str | None = None) -> NarrowClient:
            path = [*self._url_path, name] if name else self._url_path
            return NarrowClient(self.host, self.request_headers, self._version, path, timeout=self.timeout)

        def _make_request(self, _: Any, request: Any, timeout: float | None = None) -> Any:
            return super()._make_request(self.narrow_opener, request, timeout)

    headers = {**client.request_headers, "Content-Type": "application/json"}
    return NarrowClient(host, headers, version=3, timeout=timeout_seconds)
