"""Many people in one request: what leaves, who is told what, and how one bad address is found without harming anybody."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from tests.lifecycle import official_specs
from tests.lifecycle.servers import http_answer, misbehaving, running_sandbox

from lifecycle.channels import BatchRecipient, EmailBatch, Hold, Receipt
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail, batch_body
from lifecycle.errors import TryAgainError

BAD = "not an address"
ACCEPTED = http_answer(202, "", {"X-Message-Id": "abc"})


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as url:
        yield url


@pytest.fixture
def empty_sandbox(sandbox: str) -> str:
    requests.delete(f"{sandbox}/messages.json", timeout=60).raise_for_status()
    return sandbox


def batch_of(*addresses: str) -> EmailBatch:
    """A request to these people, each with a name and a way out of their own."""
    people = [
        BatchRecipient(f"m{number}", to, {"-lc0_": f"Näme{number} <&>"}, f"https://shop.example/u/T{number}")
        for number, to in enumerate(addresses)
    ]
    return EmailBatch("Hi -lc0_", "<p>Hi -lc0_</p>", "Hi -lc0_\n", people)


def addresses(count: int, *bad: int) -> list[str]:
    """So many people, and where somebody's address is bad."""
    return [BAD if number in bad else f"p{number}@example.com" for number in range(count)]


def channel(url: str, timeout_seconds: float = 5) -> SendGridEmail:
    return SendGridEmail(sandbox_accounts(url).sendgrid, timeout_seconds)


def received(url: str) -> list[dict[str, Any]]:
    return requests.get(f"{url}/messages.json", {"limit": "1000"}, timeout=60).json()


def outcomes(receipts: list[Receipt]) -> list[str]:
    return [receipt.outcome for receipt in receipts]


class Counting(SendGridEmail):
    """The real channel, which also notes whom each request was for."""

    def __init__(self, url: str) -> None:
        super().__init__(sandbox_accounts(url).sendgrid, 5)
        self.requests: list[list[str]] = []

    def post(self, body: dict[str, Any]) -> Receipt:
        self.requests.append([person["custom_args"]["lifecycle_message_id"] for person in body["personalizations"]])
        return super().post(body)


class Scripted(SendGridEmail):
    """A provider that refuses whole requests for some people's sake, and may answer something else at some request."""

    def __init__(self, bad: set[str], answers: dict[int, Receipt] | None = None) -> None:
        super().__init__(sandbox_accounts("http://127.0.0.1:9").sendgrid)
        self.bad, self.answers = bad, answers or {}
        self.requests = 0
        self.taken: list[str] = []

    def post(self, body: dict[str, Any]) -> Receipt:
        people = [person["custom_args"]["lifecycle_message_id"] for person in body["personalizations"]]
        self.requests += 1
        if self.requests in self.answers:
            return self.answers[self.requests]
        if self.bad & set(people):
            return Receipt("rejected", http_status=400, provider_code="personalizations.0.to.0.email")
        self.taken += people
        return Receipt("accepted", provider_id=f"r{self.requests}", http_status=202)


def test_a_batch_is_one_request_in_our_order() -> None:
    body = batch_body(batch_of("aiko@example.com", "sam@example.com"))
    assert [person["to"] for person in body["personalizations"]] == [
        [{"email": "aiko@example.com"}],
        [{"email": "sam@example.com"}],
    ]
    assert body["personalizations"][1] == {
        "to": [{"email": "sam@example.com"}],
        "custom_args": {"lifecycle_message_id": "m1"},
        "headers": {
            "List-Unsubscribe": "<https://shop.example/u/T1>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
        "substitutions": {"-lc0_": "Näme1 <&>"},
    }
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert set(body) == {"personalizations", "from", "subject", "content", "tracking_settings"}


def test_everybody_reads_their_own_words(empty_sandbox: str) -> None:
    receipts = channel(empty_sandbox).send_many(batch_of("aiko@example.com", "sam@example.com"))
    assert outcomes(receipts) == ["accepted", "accepted"]
    arrived = {message["message_id"]: message for message in received(empty_sandbox)}
    assert arrived["m1"]["to_address"] == "sam@example.com"
    assert arrived["m1"]["subject"] == "Hi Näme1 <&>"
    assert arrived["m1"]["html"] == "<p>Hi Näme1 <&></p>"
    assert arrived["m0"]["text"] == "Hi Näme0 <&>\n"
    assert arrived["m0"]["headers"]["List-Unsubscribe"] == "<https://shop.example/u/T0>"
    assert {receipt.provider_id for receipt in receipts} == {arrived["m0"]["provider_id"]}


def test_sendgrids_own_description_takes_what_leaves(empty_sandbox: str) -> None:
    channel(empty_sandbox).send_many(batch_of("aiko@example.com"))
    (arrived,) = received(empty_sandbox)
    if not official_specs.ARE_HERE:
        pytest.skip("the providers' descriptions are not beside this checkout")
    assert official_specs.sendgrid_takes(json.loads(arrived["request"]))
    assert official_specs.sendgrid_takes(batch_body(batch_of("a@example.com"), hold=Hold("HkJ5yLYULb7Rj8GK", 9)))
    assert not official_specs.sendgrid_takes(batch_body(batch_of(BAD)))


def test_a_batch_that_is_not_held_says_nothing_of_holding() -> None:
    assert {"batch_id", "send_at"} & set(batch_body(batch_of("a@example.com"))) == set()


def test_a_held_batch_carries_its_name_and_time_in_every_part() -> None:
    bodies: list[dict[str, Any]] = []

    class Noting(Scripted):
        def post(self, body: dict[str, Any]) -> Receipt:
            bodies.append(body)
            return super().post(body)

    Noting({"m1"}).send_many(batch_of(*addresses(2)), hold=Hold("B1", 1_900_000_000))
    assert [(body["batch_id"], body["send_at"]) for body in bodies] == [("B1", 1_900_000_000)] * 3


@pytest.mark.parametrize("bad", [0, 1, 57, 98, 99])
def test_one_bad_address_is_refused_alone_and_everybody_else_is_sent_once(empty_sandbox: str, bad: int) -> None:
    counting = Counting(empty_sandbox)
    receipts = counting.send_many(batch_of(*addresses(100, bad)))
    assert outcomes(receipts) == ["rejected" if number == bad else "accepted" for number in range(100)]
    assert (receipts[bad].http_status, receipts[bad].provider_code) == (400, "personalizations.0.to.0.email")
    assert sorted(m["message_id"] for m in received(empty_sandbox)) == sorted(
        {f"m{n}" for n in range(100)} - {f"m{bad}"}
    )
    assert len(counting.requests) <= 2 * math.ceil(math.log2(100)) + 1


@given(count=st.integers(1, 130), data=st.data())
@effort(max_examples=200, deadline=None)
def test_whoever_is_bad_everybody_else_is_taken_exactly_once(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=count))
    scripted = Scripted({f"m{number}" for number in bad})
    receipts = scripted.send_many(batch_of(*addresses(count)))
    assert outcomes(receipts) == ["rejected" if number in bad else "accepted" for number in range(count)]
    assert scripted.taken == [f"m{number}" for number in range(count) if number not in bad]
    assert scripted.requests <= 1 + 2 * len(bad) * math.ceil(math.log2(count) if count > 1 else 1)


@given(count=st.integers(2, 64), data=st.data())
@effort(max_examples=200, deadline=None)
def test_nobody_is_sent_twice_whatever_is_answered_on_the_way(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    odd = st.sampled_from([Receipt("uncertain", http_status=503), Receipt("retry", http_status=429)])
    scripted = Scripted({f"m{number}" for number in bad}, data.draw(st.dictionaries(st.integers(1, 12), odd)))
    receipts = scripted.send_many(batch_of(*addresses(count)))
    assert len(receipts) == count
    assert len(set(scripted.taken)) == len(scripted.taken)
    assert scripted.taken == [f"m{number}" for number, found in enumerate(outcomes(receipts)) if found == "accepted"]


def test_an_unclear_answer_to_a_half_holds_for_that_half_only() -> None:
    scripted = Scripted({"m0"}, {2: Receipt("uncertain", http_status=503)})
    assert outcomes(scripted.send_many(batch_of(*addresses(4)))) == ["uncertain", "uncertain", "accepted", "accepted"]


def test_a_rate_limit_on_the_way_leaves_the_others_for_later() -> None:
    limit = Receipt("retry", http_status=429, retry_after_seconds=7)
    scripted = Scripted({"m0"}, {3: limit})
    receipts = scripted.send_many(batch_of(*addresses(8)))
    assert outcomes(receipts) == ["retry"] * 8
    assert (receipts[7].retry_after_seconds, scripted.requests, scripted.taken) == (7, 3, [])


def test_dividing_stops_before_the_claim_could_be_lost() -> None:
    scripted = Scripted({"m0"})
    receipts = scripted.send_many(batch_of(*addresses(8)), within_seconds=0)
    assert (outcomes(receipts), scripted.requests) == (["retry"] * 8, 1)
    assert receipts[0].detail == "not tried in time"


def test_a_refusal_of_what_everybody_shares_is_asked_once() -> None:
    refused = Receipt("rejected", http_status=400, provider_code="from.email")
    scripted = Scripted(set(), {1: refused})
    assert scripted.send_many(batch_of(*addresses(8))) == [refused] * 8
    assert scripted.requests == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (http_answer(429, "{}", {"Retry-After": "7"}), "retry"),
        (http_answer(401, "{}"), "retry"),
        (http_answer(503), "uncertain"),
        (http_answer(200), "uncertain"),
        (http_answer(404, "{}"), "rejected"),
        (ACCEPTED, "accepted"),
        (b"", "uncertain"),
    ],
)
def test_one_answer_is_everybodys_answer(answer: bytes, outcome: str) -> None:
    with misbehaving(answer) as (url, seen):
        receipts = channel(url).send_many(batch_of(*addresses(3)))
    assert (outcomes(receipts), len(seen)) == ([outcome] * 3, 1)


def test_nobody_is_no_request() -> None:
    with misbehaving(ACCEPTED) as (url, seen):
        assert channel(url).send_many(batch_of()) == []
    assert seen == []


def test_a_batch_id_is_asked_for() -> None:
    with misbehaving(http_answer(201, '{"batch_id": "HkJ5yLYULb7Rj8GKSx7u025ouWVlMgAi"}')) as (url, seen):
        assert channel(url).create_batch_id() == "HkJ5yLYULb7Rj8GKSx7u025ouWVlMgAi"
    assert seen[0].startswith(b"POST /v3/mail/batch HTTP")


@pytest.mark.parametrize(
    "answer",
    [http_answer(201, "{}"), http_answer(201, "[]"), http_answer(201, '{"batch_id": "a b"}'), http_answer(201, "nope"),
     http_answer(200, '{"batch_id": "a"}'), http_answer(500), http_answer(401), b""],
)  # fmt: skip
def test_without_a_batch_id_nothing_is_held(answer: bytes) -> None:
    with misbehaving(answer) as (url, _), pytest.raises(TryAgainError, match="gave no batch id"):
        channel(url).create_batch_id()


def test_cancelling_names_the_batch() -> None:
    with misbehaving(http_answer(201, '{"batch_id": "B1", "status": "cancel"}')) as (url, seen):
        assert channel(url).cancel_batch("B1") is True
    assert seen[0].startswith(b"POST /v3/user/scheduled_sends HTTP")
    body = json.loads(seen[0].partition(b"\r\n\r\n")[2])
    assert body == {"batch_id": "B1", "status": "cancel"}
    if official_specs.ARE_HERE:
        assert official_specs.scheduled_sends_take(body)
        assert not official_specs.scheduled_sends_take({**body, "status": "stop"})


@pytest.mark.parametrize(
    "answer",
    [http_answer(400, "{}"), http_answer(503), http_answer(204), http_answer(429), http_answer(200, '{"B1": 1}'), b""],
)
def test_a_cancel_that_was_not_confirmed_is_not_taken_for_one(answer: bytes) -> None:
    with misbehaving(answer) as (url, seen):
        assert channel(url).cancel_batch("B1") is None
    assert seen[-1].startswith(b"GET /v3/user/scheduled_sends/B1 HTTP")


@pytest.mark.parametrize(
    ("listed", "is_cancelled"),
    [
        ('[{"batch_id": "B1", "status": "cancel"}]', True),
        ('[{"batch_id": "B1", "status": "pause"}]', False),
        ('[{"batch_id": "B2", "status": "cancel"}]', False),
        ("[]", False),
        ("[1]", None),
        ("nope", None),
    ],
)
def test_sendgrids_list_says_whether_a_batch_is_cancelled(listed: str, is_cancelled: bool | None) -> None:
    with misbehaving(http_answer(200, listed)) as (url, _):
        assert channel(url).cancel_batch("B1") is is_cancelled


def test_cancelling_again_changes_nothing(empty_sandbox: str) -> None:
    sendgrid = channel(empty_sandbox)
    batch_id = sendgrid.create_batch_id()
    sendgrid.send_many(batch_of("aiko@example.com"), hold=Hold(batch_id, int(time.time()) + 3600))
    assert [sendgrid.cancel_batch(batch_id) for _ in range(2)] == [True, True]
    assert [message["state"] for message in received(empty_sandbox)] == ["scheduled"]


def test_a_batch_nobody_knows_is_not_cancelled(empty_sandbox: str) -> None:
    assert channel(empty_sandbox).cancel_batch("unknown") is None
