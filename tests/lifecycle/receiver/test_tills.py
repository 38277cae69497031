"""The till's address: whoever holds a token redeems, and nobody else learns anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient
from tests.shop import Shop

from lifecycle import database, settings, vouchers
from lifecycle.errors import LifecycleError
from lifecycle.journey import Voucher
from lifecycle.receiver.app import create_app
from lifecycle.receiver.keys import WebhookKeys
from lifecycle.receiver.limits import GUESSES, MAX_FORM_BYTES

NEW, OLD = "n" * 32, "o" * 32
NOW = datetime.now(timezone.utc)

Make = Callable[..., str]


@pytest.fixture
def till(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A till with the newer of two tokens."""
    monkeypatch.setenv("LIFECYCLE_VOUCHER_TOKENS", f"{NEW}, {OLD}")
    return TestClient(create_app(WebhookKeys()), headers={"Authorization": f"Bearer {NEW}"})


@pytest.fixture
def make(shop: Shop) -> Make:
    """Gives ana a voucher and says its code."""

    def made(source: str = "redemption/1", offer: Voucher | None = None) -> str:
        offer = offer or Voucher(percent_off=20, valid_days=30)
        with database.transaction() as connection:
            given = vouchers.issue_to(connection, offer, customer_id="ana", source=source, starts_at=NOW)
        return given.code

    return made


def ask(till: TestClient, code: str, order_id: str = "1001", **more: Any) -> Any:
    """A till's question."""
    return till.post("/vouchers/redeem", json={"code": code, "order_id": order_id, **more})


def test_a_till_redeems_a_code_once(till: TestClient, make: Make) -> None:
    """L-02: and is told the same about the same order."""
    code = make()
    first = ask(till, code)
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-store")
    said = first.json()
    assert (said["outcome"], said["kind"], said["percent_off"]) == ("redeemed", "percent", 20)
    assert "amount_cents" not in said
    assert ask(till, code).json() == said
    other = ask(till, code, "1002")
    assert (other.status_code, other.json()["outcome"]) == (409, "used")
    assert not {"redeemed_at", "order_id", "customer_id"} & other.json().keys()


def test_a_till_that_was_offline_says_when_it_was(till: TestClient, make: Make) -> None:
    """L-03: 24 hours to the second."""
    code = make(offer=Voucher(percent_off=35, valid_for=timedelta(hours=24)))
    start = NOW.replace(microsecond=0)
    assert ask(till, code, at=(start + timedelta(hours=24, seconds=1)).isoformat()).json()["outcome"] == "expired"
    assert ask(till, code, at=(start - timedelta(seconds=1)).isoformat()).json()["outcome"] == "not_yet_valid"
    assert ask(till, code, at=(start + timedelta(hours=24)).isoformat()).json()["outcome"] == "redeemed"


def test_a_till_may_say_whose_code_it_has_to_be(till: TestClient, make: Make) -> None:
    """J-18: a personal discount."""
    code = make()
    assert ask(till, code, customer_id="ben").json()["outcome"] == "not_theirs"
    assert ask(till, code, customer_id="ana").json()["outcome"] == "redeemed"


def test_both_tokens_work_while_they_are_changed(till: TestClient, make: Make) -> None:
    code = make()
    for token in (NEW, OLD):
        till.headers["Authorization"] = f"Bearer {token}"
        assert ask(till, code).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Bearer {NEW[:-1]}", f"Basic {NEW}", f"Bearer {NEW}é", NEW]
)
def test_whoever_holds_no_token_learns_nothing_and_uses_nothing(till: TestClient, make: Make, header: str) -> None:
    code = make()
    body = {"code": code, "order_id": "1001"}
    answer = till.post("/vouchers/redeem", json=body, headers={b"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.content, answer.headers["WWW-Authenticate"]) == (401, b"", "Bearer")
    till.headers["Authorization"] = f"Bearer {OLD}"
    assert ask(till, code, "another").json()["outcome"] == "redeemed"


@pytest.mark.usefixtures("unforgiving")
def test_an_address_that_tries_many_tokens_waits(till: TestClient, make: Make) -> None:
    code = make()
    till.headers["Authorization"] = "Bearer wrong"
    assert {ask(till, code).status_code for _ in range(GUESSES)} == {401}
    assert ask(till, code).status_code == 429


def test_a_checkout_may_ask_about_many_wrong_codes(till: TestClient) -> None:
    """L-02: all customers of a checkout come from one address, and mistype."""
    outcomes = {ask(till, vouchers.new_code()).json()["outcome"] for _ in range(GUESSES + 5)}
    assert outcomes == {"unknown"}


def test_without_tokens_there_is_no_such_address(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIFECYCLE_VOUCHER_TOKENS", raising=False)
    code = make()
    till = TestClient(create_app(WebhookKeys()), headers={"Authorization": f"Bearer {NEW}"})
    assert ask(till, code).status_code == 404
    till.headers["Authorization"] = "Bearer "
    assert ask(till, code).status_code == 404
    with database.transaction() as connection:
        assert vouchers.show(connection, code)["state"] == "issued"


def test_a_token_that_could_be_guessed_is_refused_at_the_start(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_VOUCHER_TOKENS", f"{NEW},secret")
    with pytest.raises(LifecycleError, match="LIFECYCLE_VOUCHER_TOKENS holds a token that is too short"):
        create_app(WebhookKeys())
    monkeypatch.setenv("LIFECYCLE_VOUCHER_TOKENS", "")
    assert settings.voucher_tokens() == ()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"CODE"', b'{"code": "x"}', b'{"code": "x", "order_id": 7}', b"[" * 50_000,
        b'{"code": "x", "order_id": null}', b'{"code": "x", "order_id": ""}', b'{"code": "x", "order_id": "a\\u0000"}',
        b'{"code": "x", "order_id": "1", "percent_off": "100"}', b'{"code": "x", "order_id": "1", "at": "today"}',
        b'{"code": "x", "order_id": "1", "at": "2026-03-31T12:00:00"}', b'{"code": "x", "order_id": "\\ud800"}',
        b'\xff\xfe{"code": "x"}',
    ],
)  # fmt: skip
def test_a_body_that_no_till_sends_is_answered_with_what_to_change(till: TestClient, body: bytes) -> None:
    answer = till.post("/vouchers/redeem", content=body)
    assert (answer.status_code, answer.json()["outcome"]) == (400, "bad_request")
    assert answer.json()["message"].endswith(".")


def test_a_code_may_be_anything_a_customer_types(till: TestClient) -> None:
    for typed in ("", "\u0000", "\ud800", "☃", "x" * 30_000):
        body = json.dumps({"code": typed, "order_id": "1001"}).encode()
        answer = till.post("/vouchers/redeem", content=body)
        assert (answer.status_code, answer.json()["outcome"]) == (409, "unknown")


def test_a_body_that_is_too_long_is_not_read(till: TestClient) -> None:
    assert ask(till, "x" * MAX_FORM_BYTES).status_code == 413
    assert till.get("/vouchers/redeem").status_code == 405


def test_the_receiver_redeems_as_its_own_role(
    make: Make, empty_database: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = make()
    shop.connection.execute("alter role lifecycle_receiver login password 'secret'")
    own = make_url(empty_database).set(username="lifecycle_receiver", password="secret")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", own.render_as_string(hide_password=False))
    monkeypatch.setenv("LIFECYCLE_VOUCHER_TOKENS", NEW)
    till = TestClient(create_app(WebhookKeys()), headers={"Authorization": f"Bearer {NEW}"})
    assert ask(till, code).json()["outcome"] == "redeemed"


def test_a_till_asks_again_while_postgres_is_away(till: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = ask(till, "CDFG-HJKL-MNPT")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
