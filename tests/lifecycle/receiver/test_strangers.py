"""What strangers try with links and tokens: guessing, scanning, leading astray (threats T3 to T6), and preferences."""

from __future__ import annotations

import itertools
import random
import statistics
import string
import time
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from starlette.testclient import TestClient
from tests.lifecycle.receiver.providers import Twilio
from tests.lifecycle.sent_messages import SentMessages
from tests.shop import Shop

from lifecycle import database, delivery_events, links
from lifecycle.receiver.app import create_app
from lifecycle.receiver.keys import WebhookKeys
from lifecycle.receiver.limits import GUESSES, Limits

TABLES = ("messages", "suppressions", "consents", "engagements", "links", "message_events")
LETTERS = string.ascii_letters + string.digits


class Letter:
    """A message of Aiko's with its links."""

    def __init__(self, shop: Shop) -> None:
        self.connection = shop.connection
        shop.customer("person-1", phone="+33639980001", email="1@example.com", locale="en")
        (self.message_id,) = SentMessages(shop.connection).add(channel="sms")
        self.token = self.keep(links.UNSUBSCRIBE, None)

    def keep(self, name: str, target: str | None) -> str:
        code = links.code(self.message_id, name)
        self.connection.execute(
            "insert into lifecycle.links (code, message_id, name, target_url) values (%s, %s, %s, %s)",
            (code, self.message_id, name, target),
        )
        return code

    def tables(self) -> list[Any]:
        return [self.connection.execute(f"select * from lifecycle.{name}".encode()).fetchall() for name in TABLES]

    def contact(self) -> dict[str, bool]:
        query = (
            "select channel, has_consent and not is_suppressed from lifecycle.contacts where customer_id = 'person-1'"
        )
        return dict(self.connection.execute(query.encode()).fetchall())


@pytest.fixture
def letter(shop: Shop) -> Letter:
    return Letter(shop)


@pytest.fixture
def person(client: TestClient) -> Iterator[TestClient]:
    client.headers["User-Agent"] = "Mozilla/5.0 (iPhone) Safari"
    with client:
        yield client


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing is not limited, so that it is the codes themselves that hold."""
    monkeypatch.setattr(Limits, "count_guess", lambda self, request: None)


# --- T3 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
def test_t3_no_token_but_the_right_one_unsubscribes(person: TestClient, letter: Letter) -> None:
    before, chance = letter.tables(), random.Random(3)
    right = letter.token
    other_purpose = [links.code(letter.message_id, name) for name in ("survey", "link", "callback", "preferences")]
    wrong = [
        f"{right}%00",
        right[:-1],
        right + "0",
        right.swapcase(),
        right[::-1],
        right[:12],
        *other_purpose,
    ]
    for _ in range(300):
        place = chance.randrange(len(right))
        wrong.append(right[:place] + chance.choice(LETTERS.replace(right[place], "")) + right[place + 1 :])
        wrong.append("".join(chance.choices(LETTERS, k=22)))
    for token, path in zip(wrong, itertools.cycle("uup"), strict=False):
        assert person.post(f"/{path}/{token}", data={"shown": "sms"}).status_code == 404
    assert letter.tables() == before


def test_t3_a_token_of_another_key_unsubscribes_nobody(
    person: TestClient, letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFECYCLE_SECRET_KEY", "the key of another installation")
    assert person.post(f"/u/{links.code(letter.message_id, links.UNSUBSCRIBE)}").status_code == 404


# --- T4 -----------------------------------------------------------------------------------------------------------------


def test_t4_a_thousand_scans_change_nobody(person: TestClient, letter: Letter) -> None:
    before = letter.tables()
    shapes: list[dict[str, str]] = [{}, {"Sec-Purpose": "prefetch"}, {"User-Agent": "Googlebot"}, {"X-Moz": "prefetch"}]
    query = "?List-Unsubscribe=One-Click&shown=sms"
    for number in range(1_000):
        method = ("GET", "HEAD", "OPTIONS", "GET")[number % 4]
        path = f"/{'up'[number % 2]}/{letter.token}{query if number % 3 else ''}"
        assert person.request(method, path, headers=shapes[number % 5 % 4]).status_code in (200, 405)
    assert letter.tables() == before


# --- T5 -----------------------------------------------------------------------------------------------------------------

TRICKS = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "http:evil.example", "///evil.example",
    "https://shop.example@evil.example", "https://shop.example.evil.example", "javascript:alert(1)", "data:text/html,x",
    "%0d%0aLocation:%20https://evil.example", "\r\nLocation: https://evil.example", "https://evil。example", "%2f%2fevil.example",
    "vbscript:x", "//evil%E3%80%82example", "https:evil.example", "/%09/evil.example", ".evil.example", "?evil.example",
]  # fmt: skip


def test_t5_forty_tricks_lead_where_the_link_leads(person: TestClient, letter: Letter) -> None:
    code = letter.keep("shop", "https://shop.example/sale")
    names = ("url", "next")
    for trick, name in itertools.product(TRICKS, names):
        answer = person.get(f"/l/{code}", params={name: trick})
        assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/sale")
    for trick in TRICKS:
        answer = person.get(f"/l/{code}{trick if trick[0] == '?' else '/' + trick}".replace("\r\n", "%0d%0a"))
        assert answer.headers.get("location", "https://shop.example/sale") == "https://shop.example/sale"
        assert "evil" not in answer.text


# --- T6 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient")
def test_t6_guessing_finds_nothing_and_learns_nothing(person: TestClient, letter: Letter) -> None:
    letter.keep("shop", "https://shop.example/")
    chance = random.Random(6)
    pages = {
        (answer.status_code, answer.content)
        for length in (1, 11, 12, 13, 22, 40)
        for _ in range(150)
        for answer in [person.get(f"/{chance.choice('lup')}/{''.join(chance.choices(LETTERS, k=length))}")]
    }
    assert len(pages) == 1
    assert pages.pop()[0] == 404


@pytest.mark.usefixtures("unforgiving")
def test_t6_an_address_that_guesses_has_to_wait(person: TestClient, letter: Letter) -> None:
    for number in range(GUESSES):
        assert person.get(f"/l/guess{number}").status_code == 404
    answer = person.get("/l/another")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    elsewhere = TestClient(person.app, client=("203.0.113.9", 1))
    assert elsewhere.get("/l/another").status_code == 404
    assert elsewhere.get(f"/u/{letter.token}").status_code == 200


@pytest.mark.usefixtures("patient")
def test_t6_every_wrong_code_takes_the_same_work_and_time(person: TestClient, letter: Letter) -> None:
    """Neither how much of a code is right nor whether it is one of the other kind can be told from the answer."""
    right = letter.keep("shop", "https://shop.example/")
    wrong = {
        "nothing right": "z" * len(right),
        "all but one letter": right[:-1] + ("a" if right[-1] != "a" else "b"),
        "of the other kind": letter.token,
    }
    said: dict[str, list[str]] = {name: [] for name in wrong}
    took: dict[str, list[float]] = {name: [] for name in wrong}
    asked: list[str] = []

    def listen(*call: Any) -> None:
        asked.append(call[2])

    event.listen(Engine, "before_cursor_execute", listen)
    for _ in range(60):
        # One after the other, so that a slow moment of the machine is a slow moment for all.
        for name, code in wrong.items():
            asked.clear()
            started = time.perf_counter()
            assert person.get(f"/l/{code}").status_code == 404
            took[name].append(time.perf_counter() - started)
            said[name] = list(asked)
    event.remove(Engine, "before_cursor_execute", listen)
    assert said["nothing right"]
    assert said["nothing right"] == said["all but one letter"] == said["of the other kind"]
    medians = [statistics.median(times) for times in took.values()]
    noise = max(statistics.quantiles(times, n=20)[-1] - min(times) for times in took.values())
    assert max(medians) - min(medians) < noise


# --- unsubscribing and preferences ----------------------------------------------------------------------------------------


def test_one_click_is_idempotent_and_dates_the_message(person: TestClient, letter: Letter) -> None:
    for _ in range(5):
        answer = person.post(f"/u/{letter.token}", content=b"List-Unsubscribe=One-Click", headers={"Cookie": ""})
        assert answer.status_code == 200
    assert letter.contact() == {"email": True, "sms": False}
    found = letter.connection.execute("select unsubscribed_at is not null from lifecycle.messages").fetchall()
    assert found == [(True,)]
    assert len(letter.connection.execute("select * from lifecycle.suppressions").fetchall()) == 1


def test_the_unsubscribe_page_leads_to_the_preferences(person: TestClient, letter: Letter) -> None:
    page = person.get(f"/u/{letter.token}")
    assert f'href="../p/{letter.token}"' in page.text
    preferences = person.get(f"/p/{letter.token}")
    assert preferences.text.count(" checked") == 2
    assert "Text messages" in preferences.text
    assert "Emails" in preferences.text


def test_channels_are_switched_off_and_on_again(person: TestClient, letter: Letter) -> None:
    address = f"/p/{letter.token}"
    both = "shown=email&shown=sms"
    for body, expected in (
        (f"{both}&on=sms", {"email": False, "sms": True}),
        (both, {"email": False, "sms": False}),
        (f"{both}&on=email&on=sms", {"email": True, "sms": True}),
        (f"{both}&on=email&on=sms", {"email": True, "sms": True}),
        ("", {"email": True, "sms": True}),
        ("on=sms", {"email": True, "sms": True}),
        ("shown=fax&on=fax&shown=sms", {"email": True, "sms": False}),
    ):
        answer = person.post(address, content=body)
        assert answer.status_code == 200
        assert letter.contact() == expected
    found = letter.connection.execute("select channel, is_granted, source from lifecycle.consents order by consent_id")
    assert found.fetchall() == [
        (channel, granted, "preference_page")
        for channel, granted in (("email", False), ("sms", False), ("email", True), ("sms", True), ("sms", False))
    ]


def test_a_page_does_not_undo_a_stop(person: TestClient, letter: Letter, twilio: Twilio) -> None:
    assert twilio.text(person, "STOP", "+33639980001", "IN1").status_code == 200
    page = person.get(f"/p/{letter.token}")
    assert "Text START" in page.text
    person.post(f"/p/{letter.token}", content="shown=sms&on=sms")
    assert letter.contact()["sms"] is False


def test_a_page_opens_no_channel_that_was_never_agreed_to(person: TestClient, shop: Shop) -> None:
    shop.customer("person-1", phone="+33639980001", sms_consent=False)
    letter = Letter.__new__(Letter)
    letter.connection = shop.connection
    (letter.message_id,) = SentMessages(shop.connection).add()
    letter.token = letter.keep(links.UNSUBSCRIBE, None)
    assert "Text messages" not in person.get(f"/p/{letter.token}").text
    person.post(f"/p/{letter.token}", content="shown=sms&on=sms")
    assert letter.contact()["sms"] is False


def test_a_page_speaks_japanese(person: TestClient, letter: Letter) -> None:
    letter.connection.execute("update imported.customers set locale = 'ja'")
    assert "配信の設定" in person.get(f"/p/{letter.token}").text
    assert 'lang="ja"' in person.post(f"/p/{letter.token}", content="shown=sms").text


# --- the role -----------------------------------------------------------------------------------------------------------

FORBIDDEN = [
    "select * from lifecycle.messages", "select address_hash from lifecycle.messages", "select * from shop.customers",
    "select * from lifecycle.contacts", "select * from lifecycle.message_events", "select * from lifecycle.vouchers",
    "select * from lifecycle.voucher_codes", "update lifecycle.vouchers set released_at = now()",
    "select * from lifecycle.voucher_states", "select lifecycle.release_voucher(1)",
    "select * from lifecycle.suppressions", "update lifecycle.suppressions set lifted_at = now()",
    "insert into lifecycle.message_events default values", "delete from lifecycle.links", "truncate lifecycle.links",
    "update lifecycle.messages set send_state = 'queued'", "insert into lifecycle.consents default values",
    "select lifecycle.refuse('x', 'sms', '\\x00', 'stop', 'x', '{}')", "create table lifecycle.mine (a int)",
    "select * from lifecycle.referral_codes", "select * from lifecycle.referral_claims",
    "select * from lifecycle.people_of_number('\\x00')", "copy lifecycle.links to '/tmp/x'",
]  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_role_of_the_receiver_may_do_nothing_else(empty_database: str, statement: str) -> None:
    with delivery_events.transaction() as connection, pytest.raises(InsufficientPrivilege):
        database.driver(connection).execute(statement.encode())


def test_analysts_cannot_call_what_the_receiver_may(shop: Shop) -> None:
    found = shop.connection.execute(
        "select p.oid::regprocedure::text from pg_proc as p where p.pronamespace = 'lifecycle'::regnamespace "
        "and p.prosecdef and has_function_privilege('lifecycle_reader', p.oid, 'execute')"
    )
    assert found.fetchall() == []


def test_every_function_of_the_receiver_fixes_where_names_are_looked_up(shop: Shop) -> None:
    found = shop.connection.execute(
        "select count(*), count(*) filter (where proconfig::text like '%search_path=pg_catalog, pg_temp%') from pg_proc "
        "where pronamespace = 'lifecycle'::regnamespace and prosecdef"
    ).fetchone()
    assert found
    assert found[0] == found[1] > 8


def test_a_receiver_that_logs_in_as_its_role_does_all_its_work(
    letter: Letter, twilio: Twilio, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter.connection.execute("alter role lifecycle_receiver login password 'secret'")
    own = make_url(empty_database).set(username="lifecycle_receiver", password="secret")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", own.render_as_string(hide_password=False))
    person = TestClient(create_app(WebhookKeys((), (twilio.token,))), headers={"User-Agent": "Safari"})
    survey = letter.keep("survey", None)
    assert person.get(f"/l/{survey}").status_code == 200
    assert person.post(f"/l/{survey}", data={"kind": "answer", "wish": "hats"}).status_code == 200
    assert person.get(f"/p/{letter.token}").status_code == 200
    assert person.post(f"/u/{letter.token}").status_code == 200
    assert twilio.text(person, "Thanks", "+33639980001", "IN1").status_code == 200
    status = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert twilio.post(person, f"/twilio/status?message_id={letter.message_id}", status).status_code == 200
    kinds = letter.connection.execute("select kind from lifecycle.engagements order by engagement_id").fetchall()
    assert kinds == [("click",), ("answer",), ("reply",)]
    letter.connection.execute("alter role lifecycle_receiver nologin password null")
