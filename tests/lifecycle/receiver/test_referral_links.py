"""Links for friends: they lead to one place with the code, and whoever follows one is not followed."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient
from tests.lifecycle.receiver.test_strangers import TRICKS
from tests.shop import Shop

from lifecycle import database, referrals
from lifecycle.receiver.limits import GUESSES


@pytest.fixture
def key(shop: Shop) -> str:
    """The code of a customer."""
    shop.customer("ana")
    with database.transaction() as connection:
        return referrals.code_keys(connection, ["ana"])["ana"]


def test_a_friend_is_led_to_the_shop_with_the_code_and_without_a_cookie(client: TestClient, key: str) -> None:
    """F-01: however the code was copied."""
    for typed in (key, key.lower(), f"{key[:4]}-{key[4:8]}-{key[8:]}"):
        for method in ("GET", "HEAD"):
            answer = client.request(method, f"/r/{typed}")
            assert answer.status_code == 302
            assert answer.headers["location"] == f"https://shop.example/welcome?ref={key}"
            assert "set-cookie" not in answer.headers
            assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_link_for_friends_leads_nowhere_else(client: TestClient, key: str) -> None:
    for trick in TRICKS:
        answer = client.get(f"/r/{key}", params={"ref": trick, "url": trick})
        assert answer.headers["location"] == f"https://shop.example/welcome?ref={key}"


@pytest.mark.parametrize("code", ["CDFGHJKLMNPT", "CDFGHJKLMNPQ", "x", "%00", "ＣＤ", "9" * 300])
def test_a_code_that_nobody_has_leads_nowhere(client: TestClient, key: str, code: str) -> None:
    assert client.get(f"/r/{code}").status_code == 404


@pytest.mark.usefixtures("unforgiving")
def test_codes_are_not_found_by_trying(client: TestClient, key: str) -> None:
    for _ in range(GUESSES):
        client.get("/r/CDFGHJKLMNPT")
    assert client.get(f"/r/{key}").status_code == 429


def test_the_role_of_the_receiver_leads_friends_on(
    client: TestClient, key: str, shop: Shop, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.connection.execute("alter role lifecycle_receiver login password 'secret'")
    own = make_url(empty_database).set(username="lifecycle_receiver", password="secret")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", own.render_as_string(hide_password=False))
    assert client.get(f"/r/{key}").status_code == 302
    shop.connection.execute("alter role lifecycle_receiver nologin password null")
