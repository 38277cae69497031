"""Email through SendGrid's official SDK (`POST /v3/mail/send`).

The SDK waits for ever, follows redirects with the API key in hand and cannot say whether a failed call had already left
(all three seen in python_http_client 3.3.7), so its client is narrowed here to one that does none of this.
"""

from __future__ import annotations

import functools
import http.client
import logging
import re
import urllib.error
from collections.abc import Mapping
from typing import Any

from lifecycle import settings
from lifecycle.channels import OutgoingEmail, Receipt
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

MESSAGE_ID_KEY = "lifecycle_message_id"
"""Name of our message id in `custom_args`; prefixed because events bring it back at their top level."""

ACCEPTED_STATUS = 202
"""The only success: 200 is what SendGrid's own sandbox mode answers, and nothing is sent then."""

_PROVIDER_ID = re.compile(r"[\w.\-]{1,200}", re.ASCII)
_ERROR_FIELD = re.compile(r'"field"\s*:\s*"([a-z_]+(?:\.(?:[a-z_]+|\d+))*)"')

# The SDK prints the API key and the whole message at DEBUG.
logging.getLogger("python_http_client").setLevel(logging.WARNING)


class SendGridEmail:
    """Sends one email per call.

    One instance may be shared by threads: every call opens its own connection, and nothing is changed after the client
    was built.
    """

    def __init__(self, account: SendGridAccount, timeout_seconds: float = 10) -> None:
        self._account = account
        self._timeout_seconds = timeout_seconds

    def send(self, message: OutgoingEmail) -> Receipt:
        """Hand one email to SendGrid and say what became of it."""
        return self.post(mail_body(message))

    def post(self, body: dict[str, Any]) -> Receipt:
        """Hand over a ready request body."""
        from python_http_client.exceptions import HTTPError

        try:
            answer = self._client.mail.send.post(request_body=body)
        except HTTPError as error:
            return _refused(error)
        except urllib.error.URLError as error:
            return _receipt(NOT_REACHED if isinstance(error.reason, NeverConnectedError) else NO_ANSWER)
        except (OSError, http.client.HTTPException):
            return _receipt(NO_ANSWER)
        return _answered(answer.status_code, answer.headers)

    @functools.cached_property
    def _client(self) -> Any:
        from sendgrid import SendGridAPIClient

        sdk = SendGridAPIClient(api_key=self._account.api_key, host=self._account.host)
        return _narrowed(sdk.client, self._account.host, self._timeout_seconds)


def mail_body(message: OutgoingEmail) -> dict[str, Any]:
    """The JSON body of one email: text before HTML, our id as the only metadata, SendGrid's own tracking off."""
    person: dict[str, Any] = {"to": [{"email": message.to}], "custom_args": {MESSAGE_ID_KEY: message.message_id}}
    if message.unsubscribe_url:
        person["headers"] = unsubscribe_headers(message.unsubscribe_url)
    return {
        "personalizations": [person],
        "from": {"email": settings.sender_email(), "name": settings.sender_name()},
        "subject": message.subject,
        "content": [
            {"type": kind, "value": value}
            for kind, value in (("text/plain", message.text), ("text/html", message.html))
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
