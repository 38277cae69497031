"""Whether the real provider would take a request, and with which words it would refuse it.

The shape is a JSON Schema of our own; the rules that the providers' OpenAPI files leave to their prose (duplicates, byte
limits, which field needs which other) follow here.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lifecycle.sandbox import shape

_SCHEMAS = Path(__file__).parent / "schemas"
_SENDGRID_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."

MAX_RECIPIENTS = 1000
MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_SEND_AT_AHEAD_SECONDS = 72 * 3600

_JSON_GROWTH = 16
"""No text grows more than this in JSON: six bytes for one control character, quotes and separators around it."""


@dataclass(frozen=True)
class SendGridError:
    """One entry of SendGrid's `errors` list."""

    message: str
    field: str | None = None
    help: str | None = None


@dataclass(frozen=True)
class TwilioError:
    """Twilio's error answer: HTTP status, its own code and a sentence."""

    status: int
    code: int
    message: str

    def body(self) -> dict[str, Any]:
        """The JSON that goes with it."""
        return {**asdict(self), "more_info": f"https://www.twilio.com/docs/errors/{self.code}"}


_WORDS: dict[str, str] = {
    "personalizations": "The personalizations field is required and must have at least one personalization.",
    "from": "The from object must be provided for every email send. It is an object that requires the email "
    "parameter, but may also contain a name parameter.",
    "to": "The to array is required for all personalization objects, and must have at least one email object with a "
    "valid email address.",
    "email": "Does not contain a valid address.",
    "value": "The content value must be a string at least one character in length.",
    "type": "The content type must be a string at least one character in length.",
    "categories": "There cannot be more than 10 categories per request, and each must be unique.",
}
_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def sendgrid_errors(body: Any, now: float | None = None) -> list[SendGridError]:
    """Why SendGrid would answer 400, in its own JSON shape; empty when it would take the mail."""
    if not _fits("sendgrid_mail_send")(body):
        problems = sorted(_schema("sendgrid_mail_send").iter_errors(body), key=lambda error: list(map(str, error.path)))
        if problems:
            return [_sendgrid_error(problem) for problem in problems]
    ahead = _send_at_is_near(body, time.time() if now is None else now)
    return [*(problem for rule in _SENDGRID_RULES for problem in rule(body)), *ahead]


def _sendgrid_error(problem: ValidationError) -> SendGridError:
    path = [str(step) for step in problem.absolute_path]
    if problem.validator == "required":
        path.append(re.findall(r"'([^']*)'", problem.message)[0])
    field = ".".join(path) or None
    words = problem.message if not path else _sendgrid_words(problem, path[-1])
    return SendGridError(words, field, _SENDGRID_HELP + path[0] if path else None)


def _sendgrid_words(problem: ValidationError, name: str) -> str:
    if problem.validator == "type":
        given = _JSON_TYPES.get(type(problem.instance), "null")
        return f"Invalid type. Expected: {problem.validator_value}, given: {given}."
    if problem.validator == "required":
        return _WORDS.get(name, f"The {name} parameter is required.")
    if problem.validator == "additionalProperties":
        return problem.message.split(" (")[0] + "."
    return _WORDS.get(name, f"The {name} parameter is not valid ({problem.validator}).")


def _subject_is_there(body: dict[str, Any]) -> Iterator[SendGridError]:
    if body.get("template_id") or body.get("subject"):
        return
    if not all(person.get("subject") for person in body["personalizations"]):
        yield SendGridError(
            "The subject is required. You can get around this requirement if you use a template with a subject "
            "defined or if every personalization has a subject defined.",
            "subject",
            _SENDGRID_HELP + "subject",
        )


def _content_is_there(body: dict[str, Any]) -> Iterator[SendGridError]:
    if not body.get("template_id") and not body.get("content"):
        yield SendGridError(
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
            "defined content block.",
            "content",
            _SENDGRID_HELP + "content",
        )


def _text_comes_before_html(body: dict[str, Any]) -> Iterator[SendGridError]:
    kinds = [part["type"] for part in body.get("content", [])]
    if len(set(kinds)) < len(kinds) or ("text/plain" in kinds[1:]) or ("text/html" in kinds[2:]):
        yield SendGridError(
            "If present, text/plain and text/html may only be provided once, text/plain first, then text/html.",
            "content",
            _SENDGRID_HELP + "content",
        )


def _addresses(body: dict[str, Any]) -> Iterator[str]:
    for person in body["personalizations"]:
        for kind in ("to", "cc", "bcc"):
            for recipient in person.get(kind, ()):
                yield recipient["email"].lower()


def _recipients_are_unique(body: dict[str, Any]) -> Iterator[SendGridError]:
    counted = Counter(_addresses(body))
    repeated = [address for address, times in counted.items() if times > 1]
    if repeated:
        yield SendGridError(
            "Each email address in the personalization block should be unique between to, cc, and bcc. We found the "
            f"first duplicate instance of [{repeated[0]}].",
            "personalizations",
            _SENDGRID_HELP + "recipient-errors",
        )
    if counted.total() > MAX_RECIPIENTS:
        yield SendGridError(
            f"The total number of recipients must be no more than {MAX_RECIPIENTS}.",
            "personalizations",
            _SENDGRID_HELP + "recipient-errors",
        )


def _substitutions_fit(body: dict[str, Any]) -> Iterator[SendGridError]:
    for position, person in enumerate(body["personalizations"]):
        values = person.get("substitutions", {})
        if _bytes_of(values) > MAX_SUBSTITUTION_BYTES:
            yield SendGridError(
                f"The substitutions of a personalization may not exceed {MAX_SUBSTITUTION_BYTES} bytes.",
                f"personalizations.{position}.substitutions",
                _SENDGRID_HELP + "personalizations.substitutions",
            )
        if values and body.get("template_id", "").startswith("d-"):
            yield SendGridError(
                "Substitutions may not be used with dynamic templating.",
                f"personalizations.{position}.substitutions",
                _SENDGRID_HELP + "personalizations.substitutions",
            )


def _bytes_of(values: dict[str, str]) -> int:
    return len("".join([*values, *values.values()]).encode()) if values else 0


def _custom_args_fit(body: dict[str, Any]) -> Iterator[SendGridError]:
    shared = body.get("custom_args", {})
    few_bytes = MAX_CUSTOM_ARGS_BYTES / _JSON_GROWTH - _bytes_of(shared)
    for position, person in enumerate(body["personalizations"]):
        own = person.get("custom_args", {})
        if _bytes_of(own) < few_bytes:
            continue
        if len(json.dumps({**shared, **own}).encode()) >= MAX_CUSTOM_ARGS_BYTES:
            yield SendGridError(
                f"Custom arguments must be less than {MAX_CUSTOM_ARGS_BYTES} bytes.",
                f"personalizations.{position}.custom_args",
                _SENDGRID_HELP + "personalizations.custom_args",
            )


def _send_at_is_near(body: dict[str, Any], now: float) -> Iterator[SendGridError]:
    times = [part.get("send_at", 0) for part in (body, *body["personalizations"])]
    if max(times) > now + MAX_SEND_AT_AHEAD_SECONDS:
        yield SendGridError(
            "The send_at parameter may not be more than 72 hours in the future.", "send_at", _SENDGRID_HELP + "send_at"
        )


_SENDGRID_RULES = (
    _subject_is_there,
    _content_is_there,
    _text_comes_before_html,
    _recipients_are_unique,
    _substitutions_fit,
    _custom_args_fit,
)

_TWILIO_FIELD_ERRORS: dict[str, tuple[int, str]] = {
    "To": (21211, "Invalid 'To' Phone Number: {value}"),
    "From": (21212, "Invalid From Number (caller ID): {value}"),
    "Body": (21617, "The concatenated message body exceeds the 1600 character limit"),
    "ValidityPeriod": (90007, "The validity period must be between 1 and 36000 seconds"),
    "StatusCallback": (21609, "Invalid StatusCallback URL: {value}"),
    "MediaUrl": (21620, "Invalid media URL: {value}"),
    "MessagingServiceSid": (21705, "The Messaging Service Sid {value} is invalid"),
    "SendAt": (35114, "The SendAt parameter is not a valid time"),
}
_TWILIO_MAGIC: dict[tuple[str, str], tuple[int, str]] = {
    ("To", "+15005550001"): (21211, "Invalid 'To' Phone Number: {value}"),
    ("To", "+15005550002"): (21612, "The 'To' phone number {value} is not currently reachable"),
    ("To", "+15005550003"): (21408, "Permission to send an SMS has not been enabled for the region of {value}"),
    ("To", "+15005550004"): (21610, "Attempt to send to unsubscribed recipient"),
    ("To", "+15005550009"): (21614, "'To' number {value} is not a mobile number"),
    ("From", "+15005550001"): (21212, "The 'From' number {value} is not a valid phone number"),
    ("From", "+15005550007"): (21606, "The 'From' phone number {value} is not a valid, SMS-capable number"),
    ("From", "+15005550008"): (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
"""Twilio's documented test numbers, so that a test can ask for a refusal."""


def twilio_error(form: dict[str, list[str]]) -> TwilioError | None:
    """Why Twilio would refuse to create this message, or None when it would take it."""
    fields = {name: values[-1] for name, values in form.items() if values[-1]}
    missing = _twilio_missing(fields)
    if missing:
        return TwilioError(400, *missing)
    if not _fits("twilio_create_message")(fields):
        problem = next(_schema("twilio_create_message").iter_errors(fields), None)
        if problem:
            return _twilio_invalid(str(problem.path[0]), str(problem.instance))
    if len(form.get("MediaUrl", [])) > 10:
        return TwilioError(400, 21623, "Number of media files exceeds allowed limit of 10")
    return _twilio_magic(fields)


def _twilio_missing(fields: dict[str, str]) -> tuple[int, str] | None:
    if "To" not in fields:
        return 21604, "A 'To' phone number is required."
    if "From" not in fields and "MessagingServiceSid" not in fields:
        return 21603, "A 'From' phone number is required."
    if not fields.keys() & {"Body", "MediaUrl", "ContentSid"}:
        return 21602, "Message body is required."
    if "ScheduleType" in fields and "MessagingServiceSid" not in fields:
        return 35118, "MessagingServiceSid is required to schedule a message"
    return None


def _twilio_invalid(field: str, value: str) -> TwilioError:
    code, words = _TWILIO_FIELD_ERRORS.get(field, (20001, f"Invalid {field} parameter"))
    return TwilioError(400, code, words.format(value=value))


def _twilio_magic(fields: dict[str, str]) -> TwilioError | None:
    for name in ("From", "To"):
        refusal = _TWILIO_MAGIC.get((name, fields.get(name, "")))
        if refusal:
            return TwilioError(400, refusal[0], refusal[1].format(value=fields[name]))
    return None


def described(name: str) -> dict[str, Any]:
    """One of the schemas, as its file says it."""
    return json.loads((_SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def _schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(described(name))


@functools.cache
def _fits(name: str) -> shape.Check:
    return shape.compiled(described(name))
