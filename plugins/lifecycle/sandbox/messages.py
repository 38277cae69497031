"""What a provider request means for each person in it. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lifecycle import sms

EMAIL_MESSAGE_ID = "lifecycle_message_id"
SMS_MESSAGE_ID = "message_id"

_RECIPIENTS = ("to", "cc", "bcc")


@dataclass
class Received:
    """One message to one person. `position` is the personalization it came from.

    Not frozen, which would make a million of them three times as slow to build.
    """

    channel: str
    provider: str
    provider_id: str
    message_id: str | None
    to_address: str
    sender: str
    subject: str
    text: str
    position: int = 0
    sms_parts: int | None = None
    encoding: str | None = None
    send_at: float | None = None


@dataclass(frozen=True)
class EmailContent:
    """An email as its recipient reads it: substitutions applied, headers of the message and the person merged."""

    html: str
    text: str
    headers: dict[str, str]


def emails_of(request: dict[str, Any], provider_id: str) -> Iterator[Received]:
    """Every recipient of a SendGrid request, copies included."""
    subject, sender = request.get("subject") or "", _shown_sender(request["from"])
    shared_arguments, send_at = request.get("custom_args", {}), request.get("send_at")
    for position, person in enumerate(request["personalizations"]):
        own_arguments = person.get("custom_args", {})
        message_id = own_arguments.get(EMAIL_MESSAGE_ID) or shared_arguments.get(EMAIL_MESSAGE_ID)
        shown_subject = substituted(person.get("subject") or subject, person.get("substitutions", {}))
        for kind in _RECIPIENTS:
            for recipient in person.get(kind, ()):
                yield Received(
                    channel="email",
                    provider="sendgrid",
                    provider_id=provider_id,
                    message_id=message_id,
                    to_address=recipient["email"],
                    sender=_shown_sender(person["from"]) if "from" in person else sender,
                    subject=shown_subject,
                    text="",
                    position=position,
                    send_at=person.get("send_at") or send_at,
                )


def custom_args(request: dict[str, Any], position: int) -> dict[str, str]:
    """What one personalization's events bring back: its own arguments win over the message's."""
    return {**request.get("custom_args", {}), **request["personalizations"][position].get("custom_args", {})}


def sms_of(form: dict[str, str], sid: str) -> Received:
    """The one message of a Twilio request; our id rides in the query of its status callback."""
    body = form.get("Body", "")
    size = sms.measure(body)
    return Received(
        channel="sms",
        provider="twilio",
        provider_id=sid,
        message_id=_callback_id(form.get("StatusCallback", "")),
        to_address=form["To"],
        sender=form.get("From") or form.get("MessagingServiceSid", ""),
        subject="",
        text=body,
        sms_parts=size.parts,
        encoding=size.encoding,
    )


def email_content(request: dict[str, Any], position: int) -> EmailContent:
    """The bodies of one personalization."""
    person = request["personalizations"][position]
    values = person.get("substitutions", {})
    bodies = {part["type"]: part["value"] for part in request.get("content", [])}
    headers = {**request.get("headers", {}), **person.get("headers", {})}
    return EmailContent(
        html=substituted(bodies.get("text/html", ""), values),
        text=substituted(bodies.get("text/plain", ""), values),
        headers={name: substituted(value, values) for name, value in headers.items()},
    )


def substituted(text: str, values: dict[str, str]) -> str:
    """The text with each substitution tag replaced once; a value that contains a tag is left as it is."""
    if not any(tag in text for tag in values):
        return text
    pattern = _any_of(tuple(values))
    return pattern.sub(lambda found: values[found[0]], text) if pattern else text


@functools.lru_cache(maxsize=256)
def _any_of(tags: tuple[str, ...]) -> re.Pattern[str] | None:
    """Finds any of the tags, of two that begin alike the longer one."""
    longest_first = sorted(filter(None, tags), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _shown_sender(person: dict[str, str]) -> str:
    name = person.get("name")
    return f"{name} <{person['email']}>" if name else person["email"]


def _callback_id(url: str) -> str | None:
    return parse_qs(urlsplit(url).query).get(SMS_MESSAGE_ID, [None])[0]
