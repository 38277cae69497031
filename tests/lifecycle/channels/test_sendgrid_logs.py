"""Which emails SendGrid knows: found with few questions, never guessed, and never taken from half an answer."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from tests.lifecycle import official_specs
from tests.lifecycle.servers import http_answer, misbehaving

from lifecycle.channels import Sought
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.channels.sendgrid_logs import LIMIT, Entry, Look
from lifecycle.errors import TryAgainError

KEY = "lifecycle_message_id"
NOON = datetime(2026, 3, 31, 12, tzinfo=timezone.utc)


class EmailLogs:
    """SendGrid's list as far as it is described: it answers a query, newest first, and counts what it is asked."""

    def __init__(self) -> None:
        self.emails: list[tuple[datetime, Entry, dict[str, Any]]] = []
        self.queries: list[str] = []
        self.looks = 0

    def took(self, request_id: str, people: dict[str, str], at: datetime = NOON, events: tuple[str, ...] = ()) -> None:
        """One request: message id -> address."""
        for number, (message_id, address) in enumerate(people.items()):
            details = {"custom_args": {KEY: message_id}, "events": [{"event": event} for event in events]}
            self.emails.append((at, Entry(f"{request_id}.recvd-{number}.0", address), details))

    def search(self, query: str) -> list[Entry]:
        self.queries.append(query)
        since, until = (datetime.fromisoformat(text[:-1] + "+00:00") for text in re.findall('TIMESTAMP "(.*?)"', query))
        to = re.match(r"to_email = (['\"])(.*?)\1 AND ", query)
        found = [
            entry
            for at, entry, _ in sorted(self.emails, key=lambda email: email[0], reverse=True)
            if since <= at < until and (not to or entry.address == to[2])
        ]
        return found[:LIMIT]

    def details(self, sg_message_id: str) -> dict[str, Any] | None:
        self.looks += 1
        return next((one for _, entry, one in self.emails if entry.sg_message_id == unquote(sg_message_id)), None)

    def find(self, sought: list[Sought]) -> dict[str, str]:
        return Look(sought, message_id_key=KEY, search=self.search, details=self.details).find()


@pytest.fixture
def logs() -> EmailLogs:
    return EmailLogs()


def people(count: int, first: int = 0) -> dict[str, str]:
    return {f"m{number}": f"p{number}@example.com" for number in range(first, first + count)}


def sought(message_id: str, address: str, minutes: int = 1, provider_id: str = "") -> Sought:
    return Sought(message_id, address, NOON, NOON + timedelta(minutes=minutes), provider_id=provider_id)


def all_of(some: dict[str, str], minutes: int = 1) -> list[Sought]:
    return [sought(message_id, address, minutes) for message_id, address in some.items()]


def test_one_search_and_one_look_settle_a_whole_request(logs: EmailLogs) -> None:
    logs.took("req1", people(500))
    assert logs.find(all_of(people(500))) == dict.fromkeys(people(500), "req1")
    assert (len(logs.queries), logs.looks) == (1, 1)


def test_each_request_is_looked_into_once(logs: EmailLogs) -> None:
    logs.took("req1", people(300))
    logs.took("req2", people(300, first=300))
    found = logs.find(all_of(people(700)))
    assert [found[f"m{number}"] for number in (0, 299, 300, 599, 600)] == ["req1", "req1", "req2", "req2", ""]
    assert logs.looks == 2


def test_a_span_that_fills_an_answer_is_divided_until_every_answer_is_whole(logs: EmailLogs) -> None:
    for minute in range(20):
        logs.took(f"other{minute}", people(190, first=10_000 + 190 * minute), NOON + timedelta(minutes=minute))
    logs.took("ours", people(100), NOON + timedelta(minutes=7))
    assert logs.find(all_of(people(100), minutes=20)) == dict.fromkeys(people(100), "ours")
    assert 1 < len(logs.queries) <= 20
    assert not any("to_email" in query for query in logs.queries)


def test_a_second_with_more_than_an_answer_holds_is_asked_by_person(logs: EmailLogs) -> None:
    logs.took("crowd", people(LIMIT, first=10_000))
    logs.took("ours", people(150))
    found = logs.find(all_of(people(151)))
    assert found == dict.fromkeys(people(150), "ours") | {"m150": ""}
    assert sum("to_email" in query for query in logs.queries) == 151


def test_few_people_are_each_asked_for_alone(logs: EmailLogs) -> None:
    logs.took("req1", people(2))
    assert logs.find(all_of(people(3))) == {"m0": "req1", "m1": "req1", "m2": ""}
    assert all("to_email" in query for query in logs.queries)


def test_a_list_of_one_person_that_may_go_on_says_nothing_of_them(logs: EmailLogs) -> None:
    for number in range(LIMIT):
        logs.took(f"req{number}", {f"other{number}": "p0@example.com"})
    assert logs.find([sought("m0", "p0@example.com")]) == {}


def test_an_address_that_no_query_can_hold_is_not_asked_for(logs: EmailLogs) -> None:
    assert logs.find([sought("m0", '"o\'neill"@example.com')]) == {}
    assert logs.queries == []


def test_another_email_to_the_same_person_is_not_ours(logs: EmailLogs) -> None:
    logs.took("req1", {"other": "p0@example.com"})
    assert logs.find([sought("m0", "p0@example.com")]) == {"m0": ""}


def test_two_messages_to_one_person_are_told_apart(logs: EmailLogs) -> None:
    logs.took("req1", {"m1": "p0@example.com"})
    assert logs.find([sought("m0", "p0@example.com"), sought("m1", "p0@example.com")]) == {"m0": "", "m1": "req1"}


def test_an_address_is_found_however_sendgrid_writes_it(logs: EmailLogs) -> None:
    logs.took("req1", {"m0": "ana.lima@example.com"})
    assert logs.find([sought("m0", "Ana.Lima@example.com")]) == {"m0": "req1"}


def test_an_email_that_was_cancelled_was_never_sent(logs: EmailLogs) -> None:
    logs.took("req1", people(1), events=("processed", "cancel_drop"))
    assert logs.find(all_of(people(1))) == {"m0": ""}


def test_an_email_without_details_may_be_ours(logs: EmailLogs) -> None:
    logs.took("req1", people(1))
    looking = Look(all_of(people(1)), message_id_key=KEY, search=logs.search, details=lambda _: None)
    assert looking.find() == {}


def test_a_witness_is_known_by_its_request_and_needs_no_look(logs: EmailLogs) -> None:
    logs.took("req1", people(1))
    assert logs.find([sought("m0", "p0@example.com", provider_id="req1")]) == {"m0": "req1"}
    assert logs.find([sought("m0", "p0@example.com", provider_id="req2")]) == {"m0": ""}
    assert logs.looks == 0


# --- over the wire ----------------------------------------------------------------------------------------------------


def answer_to_a_search(raw: bytes) -> dict[str, str]:
    with misbehaving(raw) as (url, _):
        return SendGridEmail(sandbox_accounts(url).sendgrid, 1).find(all_of(people(1)))


@pytest.mark.parametrize(
    "raw",
    [
        http_answer(429, "{}", {"Retry-After": "60"}),
        http_answer(500),
        http_answer(400, "{}"),
        http_answer(200, "<html>"),
        http_answer(200, "[]"),
        http_answer(200, '{"messages": null}'),
        http_answer(200, '{"messages": [{"to_email": "p0@example.com"}]}'),
        http_answer(200, '{"messages": ["p0@example.com"]}'),
        http_answer(200, '{"messages": [], '),
        b"",
    ],
)
def test_without_a_whole_answer_nothing_is_decided(raw: bytes) -> None:
    with pytest.raises(TryAgainError, match="SendGrid did not say which emails it accepted"):
        answer_to_a_search(raw)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_the_logs_tells_of_nobody(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert answer_to_a_search(http_answer(status, "{}")) == {}
    assert "does not let this API key read the Email Logs" in caplog.text
    assert "p0@example.com" not in caplog.text


def test_sendgrids_own_description_takes_the_search() -> None:
    with misbehaving(http_answer(200, '{"messages": []}')) as (url, seen):
        assert SendGridEmail(sandbox_accounts(url).sendgrid, 1).find(all_of(people(1))) == {"m0": ""}
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v3/logs HTTP")
    assert json.loads(body)["limit"] == LIMIT
    if official_specs.ARE_HERE:
        assert official_specs.email_logs_take(json.loads(body))
        assert not official_specs.email_logs_take({"query": "", "limit": LIMIT + 1})
