"""What a provider request means for each person in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lifecycle import sms

EMAIL_MESSAGE_ID = "lifecycle_message_id"
SMS_MESSAGE_ID = "message_id"


@dataclass(frozen=True)
class Received:
    """One message to one person. `position` is the personalization it came from."""

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


@dataclass(frozen=True)
class EmailContent:
    """An email as its recipient reads it: substitutions applied, headers of the message and the person merged."""

    html: str
    text: str
    headers: dict[str, str]


def emails_of(request: dict[str, Any], provider_id: str) -> Iterator[Received]:
    """Every recipient of a SendGrid request, copies included."""
    for position, person in enumerate(request["personalizations"]):
        arguments = {**request.get("custom_args", {}), **person.get("custom_args", {})}
        subject = person.get("subject") or request.get("subject") or ""
        for kind in ("to", "cc", "bcc"):
            for recipient in person.get(kind, []):
                yield Received(
                    channel="email",
                    provider="sendgrid",
                    provider_id=provider_id,
                    message_id=arguments.get(EMAIL_MESSAGE_ID),
                    to_address=recipient["email"],
                    sender=_shown_sender(person.get("from") or request["from"]),
                    subject=substituted(subject, person.get("substitutions", {})),
                    text="",
                    position=position,
                )


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
    if not values:
        return text
    tags = sorted(filter(None, values), key=len, reverse=True)
    pattern = "|".join(map(re.escape, tags))
    return re.sub(pattern, lambda found: values[found[0]], text) if pattern else text


def _shown_sender(person: dict[str, str]) -> str:
    name = person.get("name")
    return f"{name} <{person['email']}>" if name else person["email"]


def _callback_id(url: str) -> str | None:
    return parse_qs(urlsplit(url).query).get(SMS_MESSAGE_ID, [None])[0]
