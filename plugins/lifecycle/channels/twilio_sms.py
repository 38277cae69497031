"""SMS through Twilio's official SDK (`POST /2010-04-01/Accounts/{sid}/Messages.json`).

The SDK's exceptions lose the headers of an answer, so the HTTP client here keeps the answer itself and the meaning is
read from that. The SDK's own retries stay off: a repeated POST is a second SMS.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from lifecycle import settings
from lifecycle.channels import OutgoingSms, Receipt, Sought, connections
from lifecycle.channels.accounts import TWILIO_HOST, TwilioAccount
from lifecycle.channels.answers import (
    CREDENTIALS_REFUSED,
    NO_ANSWER,
    NOT_REACHED,
    ODD_ANSWER,
    RATE_LIMITED,
    Meaning,
    meaning_of_status,
    retry_after_seconds,
)
from lifecycle.channels.connections import NeverConnectedError
from lifecycle.errors import TryAgainError

if TYPE_CHECKING:
    import urllib3
    from twilio.http.response import Response
    from twilio.rest import Client

MESSAGE_ID_PARAMETER = "message_id"
"""Query parameter of the status callback that carries our message id; Twilio's signature covers it."""

SENDER_REFUSED: Meaning = ("retry", "sender number refused")
NOT_VALID_TEXT: Meaning = ("rejected", "text is not valid Unicode")

REFUSAL_CODES: dict[int, Meaning] = {
    20003: CREDENTIALS_REFUSED,
    20005: ("retry", "account not active"),
    20429: RATE_LIMITED,
    21211: ("rejected", "number not valid"),
    21212: SENDER_REFUSED,
    21408: ("rejected", "country not permitted"),
    21602: ("rejected", "no text"),
    21603: SENDER_REFUSED,
    21604: ("rejected", "no number"),
    21606: SENDER_REFUSED,
    21610: ("rejected", "opted out"),
    21611: ("retry", "sender queue full"),
    21614: ("rejected", "number takes no SMS"),
    21617: ("rejected", "text too long"),
    21659: SENDER_REFUSED,
    21660: SENDER_REFUSED,
}
"""Twilio's code wins over the HTTP status of a 4xx answer. What an operator can mend is `retry`: nobody is burnt."""

# More than a person gets while one message is uncertain.
_MOST_LISTED = 50

_MESSAGE_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")

# The SDK logs the address of every request at INFO, the pool below it at DEBUG; that of a lookup holds the number.
logging.getLogger("twilio").setLevel(logging.WARNING)
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class TwilioSms:
    """Sends one SMS per call.

    One instance may be shared by threads: they draw from one pool of kept-alive connections, and each thread keeps its
    own last answer.

    Raises:
        LifecycleError: the proxy that the environment names cannot be used; said before anything is claimed.
    """

    def __init__(self, account: TwilioAccount, timeout_seconds: float = 10, status_callback: str = "") -> None:
        self._account = account
        self._pool = connections.pool(account.host, timeout_seconds)
        self._status_callback = status_callback

    def send(self, message: OutgoingSms) -> Receipt:
        """Hand one SMS to Twilio and say what became of it."""
        from twilio.base.exceptions import TwilioException

        http, client = self._clients
        http.forget()
        try:
            client.messages.create(**self._fields(message))
        except HTTPError as error:
            return _receipt(NOT_REACHED if _never_connected(error) else NO_ANSWER)
        except UnicodeEncodeError:
            return _receipt(NOT_VALID_TEXT)
        except (TwilioException, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            if http.last_answer is None:
                raise
        return _answered(http.last_answer)

    def find(self, sought: list[Sought]) -> dict[str, str]:
        """Message id -> SID of those Twilio shows, empty for the others.

        Raises:
            TryAgainError: Twilio did not answer, or refused to.
        """
        return {message.message_id: _sid(message, self.listed(message.address)) for message in sought}

    def listed(self, address: str) -> dict[str, str]:
        """The newest messages Twilio accepted for a number: SID -> text.

        Raises:
            TryAgainError: Twilio did not answer, or refused to.
        """
        from twilio.base.exceptions import TwilioException

        _, client = self._clients
        try:
            found = client.messages.list(to=address, limit=_MOST_LISTED)
        except (HTTPError, TwilioException, ValueError, TypeError, KeyError):
            hint = "Nothing was changed: run the task again when the provider answers"
            raise TryAgainError("Twilio did not say which messages it accepted", hint=hint) from None
        return {str(message.sid): str(message.body) for message in found}

    def _fields(self, message: OutgoingSms) -> dict[str, Any]:
        fields: dict[str, Any] = {"to": message.to, "from_": self._sender, "body": message.body}
        if message.media_urls:
            fields["media_url"] = list(message.media_urls)
        if message.valid_seconds is not None:
            fields["validity_period"] = message.valid_seconds
        if self._status_callback:
            fields["status_callback"] = callback_url(self._status_callback, message.message_id)
        return fields

    @functools.cached_property
    def _sender(self) -> str:
        return settings.sender_phone()

    @functools.cached_property
    def _clients(self) -> tuple[Any, Client]:
        from twilio.rest import Client

        http = _http_client(self._account.host, self._pool)
        return http, Client(self._account.account_sid, self._account.auth_token, http_client=http)


def _sid(sought: Sought, listed: dict[str, str]) -> str:
    """The SID under which a message is listed."""
    if sought.provider_id:
        return sought.provider_id if sought.provider_id in listed else ""
    return next((sid for sid, text in listed.items() if any(code in text for code in sought.codes)), "")


def callback_url(base: str, message_id: str) -> str:
    """The status callback of one message, with our id in its query."""
    scheme, host, path, query, _ = urlsplit(base)
    own = urlencode({MESSAGE_ID_PARAMETER: message_id})
    return urlunsplit((scheme, host, path, f"{query}&{own}" if query else own, ""))


def _answered(answer: Response) -> Receipt:
    status = answer.status_code
    body = _object(answer.text)
    if not 400 <= status < 500:
        return _taken(status, body)
    code = body.get("code")
    meaning = REFUSAL_CODES.get(code) if isinstance(code, int) else None
    meaning = meaning or meaning_of_status(status)
    wait = retry_after_seconds(answer.headers or {}) if meaning[0] == "retry" else None
    return _receipt(meaning, status, str(code if isinstance(code, int) else status), wait)


def _taken(status: int, body: dict[str, Any]) -> Receipt:
    sid = body.get("sid")
    if not 200 <= status < 300:
        return _receipt(meaning_of_status(status), status, str(status))
    if isinstance(sid, str) and _MESSAGE_SID.fullmatch(sid):
        return Receipt("accepted", provider_id=sid, http_status=status)
    return _receipt(ODD_ANSWER, status)


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _receipt(meaning: Meaning, status: int | None = None, code: str = "", wait: float | None = None) -> Receipt:
    outcome, detail = meaning
    return Receipt(outcome, http_status=status, provider_code=code, detail=detail, retry_after_seconds=wait)


def _http_client(host: str, pool: urllib3.PoolManager) -> Any:
    """An HTTP client for the SDK, sent to `host`, keeping each thread's last answer.

    The SDK's own is built on requests, which takes as much of the processor as all the rest of a message.
    """
    from twilio.http import HttpClient
    from twilio.http.response import Response

    class NarrowHttpClient(HttpClient):
        answers = threading.local()

        def forget(self) -> None:
            self.answers.last = None

        @property
        def last_answer(self) -> Any:
            return self.answers.last

        def request(
            self,
            method: str,
            url: str,
            params: dict[str, Any] | None = None,
            data: dict[str, Any] | None = None,
            headers: dict[str, str] | None = None,
            auth: tuple[str, str] | None = None,
            *_: Any,
            **__: Any,
        ) -> Response:
            if not url.startswith(TWILIO_HOST + "/"):
                raise ValueError("The Twilio SDK asked for a foreign address")
            address = host.rstrip("/") + url[len(TWILIO_HOST) :] + (f"?{_form(params)}" if params else "")
            own = make_headers(basic_auth=":".join(auth)) if auth else {}
            body = _form(data) if data else None
            found = pool.request(method, address, body=body, headers={**(headers or {}), **own})
            self.answers.last = Response(found.status, found.data.decode("utf-8", "replace"), found.headers)
            return self.answers.last

    return NarrowHttpClient(logging.getLogger("twilio"), is_async=False)


def _form(fields: dict[str, Any]) -> str:
    """Fields as a form holds them, those without a value left out."""
    return urlencode({name: value for name, value in fields.items() if value is not None}, doseq=True)


def _never_connected(error: BaseException) -> bool:
    """Whether nothing left; urllib3 wraps the cause as an argument or a reason."""
    wrapped = [*error.args, getattr(error, "reason", None)]
    return isinstance(error, NeverConnectedError) or any(
        _never_connected(inner) for inner in wrapped if isinstance(inner, BaseException)
    )
