"""The sandbox takes and refuses what the providers' descriptions do, and what their pages add to them.

Each case holds the verdict of the description (checked whenever it is at hand) and the rule of the prose, if any, that
makes the sandbox stricter.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from tests.lifecycle import official_specs

from lifecycle.sandbox.validation import sendgrid_errors, twilio_error

PERSON = {"to": [{"email": "aiko@example.com"}]}


class Case(NamedTuple):
    name: str
    change: dict[str, Any]
    described: bool
    stricter: str = ""

    @property
    def is_taken(self) -> bool:
        return self.described and not self.stricter


def people(count: int) -> list[dict[str, Any]]:
    return [{"to": [{"email": f"p{index}@example.com"}]} for index in range(count)]


def person(**more: Any) -> dict[str, Any]:
    return {"personalizations": [{**PERSON, **more}]}


def to(*addresses: str, **more: str) -> dict[str, Any]:
    return {"personalizations": [{"to": [{"email": address, **more} for address in addresses]}]}


MAILS = [
    Case("plain", {}, True),
    Case("a thousand people", {"personalizations": people(1000)}, True),
    Case("1001 people", {"personalizations": people(1001)}, False),
    Case("no people", {"personalizations": []}, False),
    Case("no personalizations", {"personalizations": None}, False),
    Case("nobody in to", {"personalizations": [{"to": []}]}, False),
    Case("no to", {"personalizations": [{"subject": "Hi"}]}, False),
    Case("no from", {"from": None}, False),
    Case("from without address", {"from": {"name": "Shop"}}, False),
    Case("no address at all", to("banana"), False),
    Case("address with a space", to("a b@example.com"), True, "valid address"),
    Case("header injection", to("a@example.com\nBcc: b@example.com"), True, "valid address"),
    Case("two addresses in one", to("a@example.com,b@example.com"), True, "valid address"),
    Case("the same person twice", to("a@example.com", "A@Example.com"), True, "duplicate address"),
    Case("the same person in two", {"personalizations": [PERSON, PERSON]}, True, "duplicate address"),
    Case("name with a comma", to("a@example.com", name="Sato, Aiko"), True, "recipient name"),
    Case("no subject", {"subject": None}, True, "subject required"),
    Case("own subjects", {"subject": None, **person(subject="Hi")}, True),
    Case("empty subject", {"subject": ""}, False),
    Case("no content", {"content": None}, True, "content required"),
    Case("template instead of content", {"content": None, "subject": None, "template_id": "d-1"}, True),
    Case("empty content value", {"content": [{"type": "text/plain", "value": ""}]}, False),
    Case(
        "html before text",
        {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
        True,
        "text first",
    ),
    Case("ten categories", {"categories": [str(index) for index in range(10)]}, True),
    Case("eleven categories", {"categories": [str(index) for index in range(11)]}, False),
    Case("repeated category", {"categories": ["a", "a"]}, False),
    Case("long category", {"categories": ["a" * 256]}, False),
    Case("unknown field", {"foo": 1}, False),
    Case("unknown field of a person", person(foo=1), False),
    Case("custom args", {"custom_args": {"id": "1"}}, True),
    Case("custom args as text", {"custom_args": "id"}, False),
    Case("number in custom args", person(custom_args={"id": 1}), False),
    Case("large custom args", person(custom_args={"id": "a" * 10_000}), True, "custom args bytes"),
    Case("substitutions of 10,000 bytes", person(substitutions={"-a-": "b" * 9_997}), True),
    Case("substitutions of 10,001 bytes", person(substitutions={"-a-": "b" * 9_998}), True, "substitution bytes"),
    Case("substitutions counted in bytes", person(substitutions={"-a-": "愛" * 4_000}), True, "substitution bytes"),
    Case("number as substitution", person(substitutions={"-a-": 1}), False),
    Case("send_at soon", {"send_at": int(time.time()) + 3600}, True),
    Case("send_at in 73 hours", {"send_at": int(time.time()) + 73 * 3600}, True, "72 hours"),
    Case("send_at as text", {"send_at": "soon"}, False),
    Case("reserved header", {"headers": {"Reply-To": "a@example.com"}}, True, "reserved header"),
    Case("own headers", {"headers": {"List-Unsubscribe": "<https://shop.example/u>"}}, True),
    Case("asm without group", {"asm": {"groups_to_display": [1]}}, False),
    Case("26 groups", {"asm": {"group_id": 1, "groups_to_display": list(range(26))}}, False),
    Case("short pool name", {"ip_pool_name": "a"}, False),
]

SMS = [
    Case("plain", {}, True),
    Case("no to", {"To": None}, False),
    Case("word as number", {"To": "banana"}, True, "21211"),
    Case("national number", {"To": "07700900123"}, True, "21211"),
    Case("number from a spreadsheet", {"To": "3.93471E+11"}, True, "21211"),
    Case("number with a line break", {"To": "+447700900123\n"}, True, "21211"),
    Case("no sender", {"From": None}, True, "21603"),
    Case("service as sender", {"From": None, "MessagingServiceSid": "MG" + "a" * 32}, True),
    Case("malformed service", {"From": None, "MessagingServiceSid": "MG1"}, False),
    Case("name as sender", {"From": "MyShop"}, True),
    Case("long name as sender", {"From": "MyShopMyShop"}, True, "21212"),
    Case("no body", {"Body": None}, True, "21602"),
    Case("empty body", {"Body": ""}, True, "21602"),
    Case("1,600 characters", {"Body": "a" * 1600}, True),
    Case("1,601 characters", {"Body": "a" * 1601}, True, "21617"),
    Case("picture instead of body", {"Body": None, "MediaUrl": "https://shop.example/a.png"}, True),
    Case("two pictures", {"MediaUrl": ["https://shop.example/a.png", "https://shop.example/b.png"]}, True),
    Case("eleven pictures", {"MediaUrl": ["https://shop.example/a.png"] * 11}, True, "21623"),
    Case("validity of 1 second", {"ValidityPeriod": "1"}, True),
    Case("validity of 10 hours", {"ValidityPeriod": "36000"}, True),
    Case("validity of 0", {"ValidityPeriod": "0"}, True, "90007"),
    Case("validity of 36,001", {"ValidityPeriod": "36001"}, True, "90007"),
    Case("validity as word", {"ValidityPeriod": "long"}, False),
    Case("callback without scheme", {"StatusCallback": "shop.example/status"}, True, "21609"),
    Case("unknown schedule", {"ScheduleType": "later", "MessagingServiceSid": "MG" + "a" * 32}, False),
    Case("unknown risk check", {"RiskCheck": "maybe"}, False),
    Case("unknown field", {"MessageIntent": "marketing"}, True),
    Case("somebody who opted out", {"To": "+15005550004"}, True, "21610"),
    Case("a landline", {"To": "+15005550009"}, True, "21614"),
    Case("a sender of somebody else", {"From": "+15005550007"}, True, "21606"),
]


def named(cases: list[Case]) -> Callable[..., Any]:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def mail(case: Case) -> dict[str, Any]:
    body = {
        "personalizations": [PERSON],
        "from": {"email": "shop@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "Hello"}],
        **case.change,
    }
    return {name: value for name, value in body.items() if value is not None}


def form(case: Case) -> dict[str, list[str]]:
    fields = {"To": "+447700900123", "From": "+15005550006", "Body": "Hello", **case.change}
    return {name: value if isinstance(value, list) else [value] for name, value in fields.items() if value is not None}


@named(MAILS)
def test_the_sandbox_judges_a_mail_as_sendgrid_would(case: Case):
    assert (sendgrid_errors(mail(case)) == []) is case.is_taken
    if official_specs.ARE_HERE:
        assert official_specs.sendgrid_takes(mail(case)) is case.described


@named(SMS)
def test_the_sandbox_judges_an_sms_as_twilio_would(case: Case):
    error = twilio_error(form(case))
    assert (error is None) is case.is_taken
    assert not case.stricter or (error is not None and str(error.code) == case.stricter)
    if official_specs.ARE_HERE:
        assert official_specs.twilio_takes(urlencode(form(case), doseq=True)) is case.described


def test_errors_name_the_field_as_sendgrid_does():
    fields = {error.field for error in sendgrid_errors({"personalizations": [{"to": [{"email": "x"}]}, {}]})}
    assert fields == {"from", "personalizations.0.to.0.email", "personalizations.1.to"}


@pytest.mark.parametrize("body", [None, [], "text", 1, {}, {"personalizations": {}}, {"personalizations": [1]}])
def test_anything_else_is_refused_without_a_fault(body: Any):
    assert sendgrid_errors(body)
