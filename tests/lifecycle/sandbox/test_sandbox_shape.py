"""The quick check agrees with `jsonschema`: it never says yes where the schema says no, and hesitates rarely."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lifecycle.sandbox import sendgrid_api
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.shape import compiled
from lifecycle.sandbox.storage import Storage
from lifecycle.sandbox.switches import Switches
from lifecycle.sandbox.validation import described

MAIL = described("sendgrid_mail_send")
SMS = described("twilio_create_message")
SLOW = {"mail": Draft202012Validator(MAIL), "sms": Draft202012Validator(SMS)}
QUICK = {"mail": compiled(MAIL), "sms": compiled(SMS)}

GOOD_MAIL: dict[str, Any] = {
    "personalizations": [
        {
            "to": [{"email": "aiko@example.com", "name": "Aiko"}],
            "cc": [{"email": "sam@example.com"}],
            "subject": "Hi",
            "headers": {"List-Unsubscribe": "<https://shop.example/u>"},
            "substitutions": {"-a-": "b"},
            "custom_args": {"id": "1"},
            "dynamic_template_data": {"a": [1]},
            "send_at": 1,
        }
    ],
    "from": {"email": "shop@example.com", "name": "Shop"},
    "reply_to_list": [],
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hello"}],
    "attachments": [{"content": "eA==", "filename": "a", "disposition": "inline"}],
    "categories": ["a", "b"],
    "custom_args": {"a": "b"},
    "send_at": 1,
    "batch_id": "b",
    "asm": {"group_id": 1, "groups_to_display": [1]},
    "ip_pool_name": "pool",
    "mail_settings": {"sandbox_mode": {"enable": False}, "footer": {"enable": True, "html": "x"}},
    "tracking_settings": {"click_tracking": {"enable": False, "enable_text": False}},
}
GOOD_SMS = {
    "To": "+447700900123",
    "From": "MyShop",
    "Body": "Hello",
    "StatusCallback": "https://shop.example/status",
    "ValidityPeriod": "36000",
    "RiskCheck": "enable",
    "ScheduleType": "fixed",
    "MessagingServiceSid": "MG" + "a" * 32,
    "SmartEncoded": "true",
}
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2000),
    st.just(1.0),
    st.text(max_size=5),
    st.sampled_from(["a@example.com", "a b@example.com", "a@example.com\n", "x" * 256, "To", "reply-to", "Sato, Aiko"]),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(["a", "b", "a", 1, True, {"email": "a@example.com"}]), max_size=12),
    st.dictionaries(
        st.sampled_from(["email", "name", "to", "Subject", "enable"]), st.sampled_from(["x", 1, True]), max_size=3
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value, itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@st.composite
def mutated(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """A good body with one or two places replaced, removed or added."""
    body: Any = good
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(body)))
        holder = body
        for key in path:
            holder = holder[key]
        deed = draw(st.sampled_from(["replace", "remove", "add"]))
        if deed == "replace" or not isinstance(holder, dict):
            body = put(body, path, draw(ODD))
        elif deed == "add":
            body = put(body, path, {**holder, draw(st.sampled_from(["foo", "To", "email", "name"])): draw(ODD)})
        elif holder:
            gone = draw(st.sampled_from(sorted(holder)))
            body = put(body, path, {key: one for key, one in holder.items() if key != gone})
    return body


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(mutated(GOOD_MAIL).map(lambda body: ("mail", body)), mutated(GOOD_SMS).map(lambda body: ("sms", body)))
)
def test_a_quick_yes_is_never_wrong(case: tuple[str, Any]):
    kind, body = case
    if QUICK[kind](body):
        assert SLOW[kind].is_valid(body)


@settings(max_examples=150, deadline=None)
@given(mutated(GOOD_MAIL))
def test_a_quick_doubt_is_nearly_always_right(body: Any):
    if SLOW["mail"].is_valid(body) and not QUICK["mail"](body):
        # 1.0 is a whole number to the schema, and lists that need not hold texts are left to it.
        assert "1.0" in json.dumps(body) or body["reply_to_list"] != []


@pytest.mark.parametrize(("kind", "body"), [("mail", GOOD_MAIL), ("sms", GOOD_SMS)])
def test_what_is_good_gets_a_quick_yes(kind: str, body: Any):
    assert SLOW[kind].is_valid(body)
    assert QUICK[kind](body)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "$ref": "#/$defs/a", "$defs": {"a": {"minLength": 2}}}, "ab", "a"),
        ({"type": "integer"}, 1, True),
        ({"maxLength": 2}, "ab", "abc"),
        ({"type": "string"}, "", 1),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}, {"a": 1}),
        ({"type": "array", "uniqueItems": True}, ["a", "b"], ["a", "a"]),
        ({"not": {"pattern": "^x"}}, "y", "x"),
        ({"enum": ["a", "b"]}, "a", "c"),
        ({"const": "a"}, "a", "b"),
    ],
)
def test_each_word_of_a_schema_counts(schema: dict[str, Any], good: Any, bad: Any):
    assert (compiled(schema)(good), compiled(schema)(bad)) == (True, False)


@pytest.mark.parametrize(
    "schema", [{"minimum": 1}, {"not": {"type": "string"}}, {"type": "object", "maxProperties": 1}]
)
def test_a_word_that_is_not_known_is_an_error_and_not_passed_over(schema: dict[str, Any]):
    with pytest.raises(ValueError, match="No quick check"):
        compiled(schema)


def test_a_mail_to_500_people_costs_a_fraction_of_what_jsonschema_needs(tmp_path: Path):
    people = [
        {
            "to": [{"email": f"person{n}@example.com"}],
            "custom_args": {"lifecycle_message_id": f"m{n}"},
            "substitutions": {f"-v{one}-": "some value" for one in range(5)},
        }
        for n in range(500)
    ]
    body = {**GOOD_MAIL, "personalizations": people, "batch_id": ""}
    raw = json.dumps(body).encode()
    storage = Storage(tmp_path / "sandbox.sqlite")
    postbox = Postbox(storage, Switches(storage))

    def quickest(work: Any) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        return min(times)

    whole_path = quickest(lambda: sendgrid_api.take(postbox, raw))
    assert storage.deliveries()["m499"] == 3
    assert whole_path * 3 < quickest(lambda: SLOW["mail"].is_valid(body))
    storage.close()
