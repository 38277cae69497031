"""The inbox page: what a recipient would see, and nothing of a message is ever run."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lifecycle.channels import OutgoingEmail
from lifecycle.channels.sendgrid_email import mail_body
from lifecycle.sandbox.app import create_app
from lifecycle.sandbox.inbox import linked

SID = "AC" + "0" * 32
EVIL = """<script>alert(1)</script><img src=x onerror="alert(2)">'"><b>{{ 7 * 7 }}</b>"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        yield client


def send_sms(client: TestClient, body: str = "Hello", to: str = "+447700900123", sender: str = "+15005550006"):
    form = {"To": to, "From": sender, "Body": body}
    answer = client.post(f"/2010-04-01/Accounts/{SID}/Messages.json", data=form, auth=(SID, "t"))
    assert answer.status_code == 201


def send_email(client: TestClient, subject: str = "Hello", html: str = "<p>Hello</p>", text: str = "Hello"):
    body = mail_body(OutgoingEmail(EVIL, "aiko@example.com", subject, html, text, "https://shop.example/u/1"))
    answer = client.post("/v3/mail/send", json=body, headers={"Authorization": "Bearer SG.x"})
    assert answer.status_code == 202


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def opened(client: TestClient) -> str:
    number = client.get("/messages.json").json()[0]["id"]
    return client.get(f"/messages/{number}").text


def test_an_empty_inbox_says_so(client: TestClient):
    assert "No messages yet." in client.get("/").text


def test_the_list_shows_person_first_line_and_parts(client: TestClient):
    send_sms(client, "First line\nSecond line" + "." * 160)
    page = client.get("/").text
    assert "+447700900123" in page
    assert "First line" in page
    assert "Second line" not in page
    assert "2 parts" in page


def test_nothing_of_a_message_becomes_markup(client: TestClient):
    send_sms(client, EVIL)
    send_email(client, EVIL, EVIL, EVIL)
    for number in (1, 2):
        for page in (client.get("/").text, client.get(f"/messages/{number}").text):
            elements = Elements(page)
            assert [script["id"] for script in elements.named("script")] == ["script"]
            assert elements.named("img") == []
            assert "49" not in [text.strip() for text in re.findall(r">([^<]*)<", page)]
            assert EVIL not in page


def test_a_filter_is_shown_escaped(client: TestClient):
    page = client.get("/", params={"person": EVIL, "channel": EVIL}).text
    assert EVIL not in page
    assert len(Elements(page).named("script")) == 1


def test_an_email_is_framed_without_scripts_and_its_links_open_outside(client: TestClient):
    send_email(client, html='<a href="https://shop.example/l/1">Go</a><script>alert(1)</script>')
    frame = Elements(opened(client)).named("iframe")[0]
    assert frame["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert (frame["srcdoc"] or "").startswith('<!doctype html><base target="_blank">')
    assert '<a href="https://shop.example/l/1">Go</a>' in (frame["srcdoc"] or "")


def test_only_the_pages_own_script_may_run(client: TestClient):
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    nonce = Elements(answer.text).named("script")[0]["nonce"] or ""
    assert f"script-src 'nonce-{nonce}'" in policy
    assert "default-src 'none'" in policy
    assert nonce not in client.get("/").text


def test_the_links_of_an_sms_open_the_landing_page(client: TestClient):
    send_sms(client, "Win: https://shop.example/l/Ab3?x=1&y=2. Reply STOP")
    links = [link for link in Elements(opened(client)).named("a") if link.get("target") == "_blank"]
    assert [(link["href"], link["rel"]) for link in links] == [
        ("https://shop.example/l/Ab3?x=1&y=2", "noopener noreferrer")
    ]


@pytest.mark.parametrize("body", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"])
def test_only_web_addresses_become_links(client: TestClient, body: str):
    send_sms(client, body)
    assert not any((link["href"] or "").startswith(body[:5]) for link in Elements(opened(client)).named("a"))


def test_an_email_shows_text_headers_and_ids(client: TestClient):
    send_email(client, text="Plain words\nhttps://shop.example/l/2")
    page = unescape(opened(client))
    assert "Plain words" in page
    assert "List-Unsubscribe=One-Click" in page
    assert "<https://shop.example/u/1>" in page


def test_people_and_channels_filter_the_list(client: TestClient):
    send_sms(client, to="+447700900111")
    send_sms(client, to="+447700900222")
    send_email(client)
    assert shown(client, person="900111") == ["+447700900111"]
    assert shown(client, channel="email") == ["aiko@example.com"]
    assert shown(client, person="AIKO", channel="sms") == []


def shown(client: TestClient, **wanted: str) -> list[str]:
    return re.findall(r'<span class="who">([^<]+)</span>', client.get("/", params=wanted).text)


def test_older_messages_are_one_page_away(client: TestClient):
    for index in range(70):
        send_sms(client, to=f"+4477009{index:05d}")
    first = client.get("/").text
    older = next(link["href"] for link in Elements(first).named("a") if link.get("class") == "older")
    assert len(re.findall('class="row"', client.get(older or "").text)) == 10 + 1


def test_a_message_that_is_not_there_has_a_page_too(client: TestClient):
    for number in (1, 2**70):
        answer = client.get(f"/messages/{number}")
        assert (answer.status_code, "No such message" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("no link", [(False, "no link")]),
        ("https://a.example/x", [(True, "https://a.example/x")]),
        ("see https://a.example/x.", [(False, "see "), (True, "https://a.example/x"), (False, ".")]),
        ("(https://a.example)", [(False, "("), (True, "https://a.example"), (False, ")")]),
        ("詳細はhttps://a.example/愛。", [(False, "詳細は"), (True, "https://a.example/愛"), (False, "。")]),
    ],
)
def test_links_are_found_without_the_punctuation_around_them(text: str, pieces: list[tuple[bool, str]]):
    assert linked(text) == pieces
