"""The providers' own OpenAPI files as judges of a request, where they lie beside the checkout.

Five named deviations make SendGrid's file say what its API does: `custom_args` is an object of texts (the file says
string), unknown fields are refused, `personalizations` and `to` are not empty, and `to` holds at most 1000.
"""

from __future__ import annotations

import functools
import json
from typing import Any
from urllib.parse import parse_qs

from jsonschema import Draft202012Validator, FormatChecker
from openapi_schema_validator import OAS30Validator

from lifecycle import settings

FOLDER = settings.project_root().parent / "shared" / "specs"
ARE_HERE = (FOLDER / "sendgrid_mail.json").is_file()

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def sendgrid_takes(body: dict[str, Any]) -> bool:
    """Whether SendGrid's description, with the deviations, takes this body."""
    return _sendgrid().is_valid(body)


def email_logs_take(body: dict[str, Any]) -> bool:
    """Whether SendGrid's description of its Email Logs takes this search."""
    return _takes("sendgrid_logs", "/v3/logs", body)


def scheduled_sends_take(body: dict[str, Any]) -> bool:
    """Whether SendGrid's description of cancelling takes this body."""
    return _takes("sendgrid_scheduled_sends", "/v3/user/scheduled_sends", body)


def twilio_takes(form: str) -> bool:
    """Whether Twilio's description takes this form body."""
    validator = _twilio()
    properties = validator.schema["properties"]
    fields = {
        name: _typed(values, properties.get(name, {}))
        for name, values in parse_qs(form, keep_blank_values=True).items()
    }
    return validator.is_valid(fields)


def twilio_message_is_complete(message: dict[str, Any]) -> bool:
    """Whether an answer has every field that Twilio's description gives a message, of the right type."""
    schemas = _specification("twilio_messages")["components"]["schemas"]
    schema = {**schemas["api.v2010.account.message"], "components": {"schemas": schemas}}
    return set(schema["properties"]) == set(message) and OAS30Validator(schema).is_valid(message)


def _typed(values: list[str], schema: dict[str, Any]) -> Any:
    """A form field as the type its schema names; what cannot be one stays text and is refused as such."""
    if schema.get("type") == "array":
        return values
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(values[-1].lower(), values[-1])
    if schema.get("type") in {"integer", "number"}:
        return int(values[-1]) if values[-1].lstrip("-").isdigit() else values[-1]
    return values[-1]


def _takes(name: str, path: str, body: dict[str, Any]) -> bool:
    specification = _specification(name)
    _refuse_unknown_fields(specification)
    schema = specification["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": specification["components"]}).is_valid(body)


def _specification(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def _sendgrid() -> Draft202012Validator:
    components = _specification("sendgrid_mail")["components"]
    mail = components["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    person = mail["properties"]["personalizations"]["items"]
    mail["properties"]["personalizations"]["minItems"] = 1
    person["properties"]["to"] |= {"minItems": 1, "maxItems": 1000}
    mail["properties"]["custom_args"] = person["properties"]["custom_args"] = _TEXTS
    _refuse_unknown_fields(components)
    schema = {"$ref": "#/components/requestBodies/PostMailSend/content/application~1json/schema"}
    return Draft202012Validator({**schema, "components": components}, format_checker=FormatChecker(["email"]))


def _refuse_unknown_fields(part: Any) -> None:
    if isinstance(part, list):
        for item in part:
            _refuse_unknown_fields(item)
    elif isinstance(part, dict):
        if part.get("type") == "object" and isinstance(part.get("properties"), dict):
            part["additionalProperties"] = False
        for item in part.values():
            _refuse_unknown_fields(item)


@functools.cache
def _twilio() -> Any:
    specification = _specification("twilio_messages")
    create = specification["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]
    schema = create["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return OAS30Validator(
        {**schema, "components": specification["components"]}, format_checker=FormatChecker(["date-time"])
    )
