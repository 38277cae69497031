"""What the providers report about a message, in their own shapes. Pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

from lifecycle.sandbox.messages import EmailContent, custom_args, email_content
from lifecycle.sandbox.people import PHONE, Step, chance, email_story, sms_story
from lifecycle.sandbox.switches import People, Webhooks

ACCOUNT_SID = "AC" + "0" * 32
STATUS_OF_EVENT = {
    "processed": "processed",
    "deferred": "deferred",
    "dropped": "dropped",
    "bounce": "bounced",
    "delivered": "delivered",
    "open": "delivered",
    "click": "delivered",
}
"""How the Email Logs sum an event up."""

_PHONE_IP = "203.0.113.7"
_SERVER_IP = "198.51.100.25"
_DETAILS: dict[str, dict[str, Any]] = {
    "processed": {"pool": {"name": "sandbox", "id": "1"}},
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "deferred": {"response": "421 4.7.0 try again later", "attempt": "1", "ip": _SERVER_IP, "tls": 1},
    "delivered": {"response": "250 2.0.0 OK", "ip": _SERVER_IP, "tls": 1},
    "bounce": {
        "reason": "550 5.1.1 The email account that you tried to reach does not exist",
        "status": "5.1.1",
        "type": "bounce",
        "bounce_classification": "Invalid Address",
        "ip": _SERVER_IP,
        "tls": 1,
    },
    "open": {"useragent": PHONE, "ip": _PHONE_IP},
    "click": {"useragent": PHONE, "ip": _PHONE_IP},
    "unsubscribe": {"useragent": PHONE, "ip": _PHONE_IP},
}


@dataclass(frozen=True)
class Outgoing:
    """A message on its way to its recipient, with what it came with."""

    number: int
    channel: str
    provider_id: str
    message_id: str | None
    to_address: str
    sender: str
    text: str
    position: int
    sms_parts: int | None
    sent_at: float

    @property
    def key(self) -> str:
        """What decides about its fate: our id, so that a second copy of a message ends like the first."""
        return self.message_id or f"{self.provider_id}/{self.position}"

    @property
    def sg_message_id(self) -> str:
        """SendGrid's id of one recipient's message; it begins with the id of the request."""
        return f"{self.provider_id}.recvd-sandbox-{self.number:x}.0"


@dataclass(frozen=True)
class Happening:
    """Something that is to happen at a time: an event to post, a form to post, a link to open."""

    number: int
    kind: str
    name: str
    due_at: float
    url: str = ""
    payload: dict[str, Any] | None = None


def email_happenings(message: Outgoing, request: dict[str, Any], people: People) -> list[Happening]:
    """What one email leads to."""
    content = email_content(request, message.position) if people.click else EmailContent("", "", {})
    link = first_link(content.html, content.text, content.headers.get("List-Unsubscribe", ""))
    found: list[Happening] = []
    for name, after in email_story(message.key, people):
        at = message.sent_at + after
        if name == "buy":
            found.append(Happening(message.number, "buy", name, at))
            continue
        if name == "click" and link:
            found.append(Happening(message.number, "click", name, at, link))
        if people.always_tracked or _is_reported(name, request):
            event = sendgrid_event(name, message, request, at, link)
            found.append(Happening(message.number, "sendgrid", name, at, payload=event))
    return found


def sms_happenings(message: Outgoing, form: dict[str, str], people: People, webhooks: Webhooks) -> list[Happening]:
    """What one SMS leads to."""
    story = sms_story(message.key, people, by_service=not form.get("From"))
    found = [_sms_happening(step, message, form, webhooks) for step in story]
    return [one for one in found if one]


def sendgrid_event(name: str, message: Outgoing, request: dict[str, Any], at: float, link: str = "") -> dict[str, Any]:
    """One event as SendGrid's webhook tells it: our own arguments lie between its fields."""
    event: dict[str, Any] = {
        **custom_args(request, message.position),
        "email": message.to_address,
        "timestamp": int(at),
        "smtp-id": f"<{message.provider_id}@sandbox>",
        "event": name,
        "sg_event_id": _event_id(message, name),
        "sg_message_id": message.sg_message_id,
        **_DETAILS.get(name, {}),
    }
    if request.get("categories"):
        event["category"] = request["categories"]
    if request.get("asm"):
        event["asm_group_id"] = request["asm"]["group_id"]
    if name == "click":
        event |= {"url": link, "url_offset": {"index": 0, "type": "html"}}
    return event


def first_link(html: str, text: str, unsubscribe: str = "") -> str:
    """The first web address of a message that is not its way out."""
    found = _Links(html).found or [word for word in text.split() if word.startswith(("http://", "https://"))]
    return next((unescape(link) for link in found if link and f"<{link}>" not in unsubscribe), "")


class _Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href") or ""
        if tag == "a" and link.startswith(("http://", "https://")):
            self.found.append(link)


def _is_reported(name: str, request: dict[str, Any]) -> bool:
    """Opens and clicks are seen only where the message lets SendGrid track them."""
    tracking = request.get("tracking_settings", {}).get(f"{name}_tracking", {})
    return name not in {"open", "click"} or tracking.get("enable", True) is not False


def _event_id(message: Outgoing, name: str) -> str:
    digest = hashlib.blake2b(f"{message.sg_message_id}/{name}".encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _sms_happening(step: Step, message: Outgoing, form: dict[str, str], webhooks: Webhooks) -> Happening | None:
    name, after = step
    at = message.sent_at + after
    if name == "buy":
        return Happening(message.number, "buy", name, at)
    if name == "click":
        link = first_link("", message.text).rstrip(".,;:!?)]}'\"")
        return Happening(message.number, "click", name, at, link) if link else None
    if name == "stop":
        return Happening(message.number, "inbound", name, at, webhooks.twilio_inbound_url, _stop_form(message))
    return Happening(
        message.number, "status", name, at, form.get("StatusCallback", ""), _status_form(name, message, form)
    )


def _status_form(status: str, message: Outgoing, form: dict[str, str]) -> dict[str, str]:
    """The form of Twilio's status callback."""
    fields = {
        "SmsSid": message.provider_id,
        "SmsStatus": status,
        "MessageStatus": status,
        "To": message.to_address,
        "MessageSid": message.provider_id,
        "AccountSid": ACCOUNT_SID,
        "From": form.get("From", ""),
        "ApiVersion": "2010-04-01",
    }
    if form.get("MessagingServiceSid"):
        fields["MessagingServiceSid"] = form["MessagingServiceSid"]
    if status == "undelivered":
        fields |= {"ErrorCode": "30003", "ErrorMessage": "Unreachable destination handset"}
    return fields


def _stop_form(message: Outgoing) -> dict[str, str]:
    """The form of an SMS that somebody answers."""
    digest = hashlib.blake2b(message.provider_id.encode(), digest_size=16).hexdigest()
    how = ("STOP", "stop", "Stop")[int(chance(0, message.key, "how they write it") * 3)]
    return {
        "ToCountry": "US",
        "SmsMessageSid": f"SM{digest}",
        "NumMedia": "0",
        "SmsSid": f"SM{digest}",
        "SmsStatus": "received",
        "Body": how,
        "To": message.sender,
        "NumSegments": "1",
        "MessageSid": f"SM{digest}",
        "AccountSid": ACCOUNT_SID,
        "From": message.to_address,
        "ApiVersion": "2010-04-01",
    }


def form_of(request: str) -> dict[str, str]:
    """The fields of a Twilio request."""
    return {name: values[-1] for name, values in parse_qs(request, keep_blank_values=True).items()}
