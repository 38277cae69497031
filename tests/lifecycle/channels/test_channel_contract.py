"""What really leaves through the SDKs: recorded here, judged by the providers' own descriptions where those are at hand."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from tests.lifecycle import official_specs
from tests.lifecycle.servers import running_sandbox

from lifecycle.channels import OutgoingEmail, OutgoingSms
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.channels.twilio_sms import TwilioSms

RECORDED = Path(__file__).parent / "recorded"
CALLBACK = "https://shop.example/twilio/status?v=1"

EMAILS = {
    "email": OutgoingEmail(
        "01J0EMAIL", "aiko@example.com", "Ein Gutschein für dich, 愛子", "<p>15&nbsp;% €</p>", "15 % €"
    ),
    "email_with_unsubscribe": OutgoingEmail(
        "01J0EMAIL2", "sam@example.com", "Win", "<p>Win</p>", "Win", "https://shop.example/u/T0k-en_"
    ),
    "email_html_only": OutgoingEmail("01J0EMAIL3", "kim@example.com", "Hi", "<p>Hi</p>", ""),
}
SMS = {
    "sms_latin": OutgoingSms("01J0SMS", "+447700900123", "Hi Sam & co, 5€ off: https://shop.example/l/Ab3? Reply STOP"),
    "sms_with_media": OutgoingSms(
        "01J0MMS", "+447700900125", "Look", ("https://shop.example/a.jpg", "https://shop.example/b.jpg"), 14400
    ),
    "sms_japanese": OutgoingSms("01J0SMS2", "+819012345678", "愛子さん、お久しぶりです。\nhttps://shop.example/l/Jp2"),
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite") as url:
        yield url


@pytest.fixture
def often_switching() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def received(sandbox: str, address: str) -> dict[str, Any]:
    return requests.get(f"{sandbox}/messages.json", {"to": address}, timeout=60).json()[0]


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EMAILS)
def test_the_email_that_leaves_is_the_recorded_one(sandbox: str, name: str):
    receipt = SendGridEmail(sandbox_accounts(sandbox).sendgrid).send(EMAILS[name])
    arrived = received(sandbox, EMAILS[name].to)
    assert (receipt.outcome, receipt.provider_id, receipt.http_status) == ("accepted", arrived["provider_id"], 202)
    assert json.loads(arrived["request"]) == recorded(name)
    if official_specs.ARE_HERE:
        assert official_specs.sendgrid_takes(json.loads(arrived["request"]))


@pytest.mark.parametrize("name", SMS)
def test_the_sms_that_leaves_is_the_recorded_one(sandbox: str, name: str):
    receipt = TwilioSms(sandbox_accounts(sandbox).twilio, status_callback=CALLBACK).send(SMS[name])
    arrived = received(sandbox, SMS[name].to)
    assert (receipt.outcome, receipt.provider_id, receipt.http_status) == ("accepted", arrived["provider_id"], 201)
    assert parse_qs(arrived["request"], strict_parsing=True) == recorded(name)
    if official_specs.ARE_HERE:
        assert official_specs.twilio_takes(arrived["request"])


def test_text_stands_before_html_and_our_id_is_the_only_metadata():
    body = recorded("email_with_unsubscribe")
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert body["personalizations"][0]["custom_args"] == {"lifecycle_message_id": "01J0EMAIL2"}
    assert set(body) == {"personalizations", "from", "subject", "content", "tracking_settings"}


def test_unsubscribing_takes_one_click():
    headers = recorded("email_with_unsubscribe")["personalizations"][0]["headers"]
    assert headers == {
        "List-Unsubscribe": "<https://shop.example/u/T0k-en_>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_an_sms_without_a_callback_carries_no_message_id(sandbox: str):
    TwilioSms(sandbox_accounts(sandbox).twilio).send(OutgoingSms("01J0SMS3", "+447700900999", "Hello"))
    arrived = received(sandbox, "+447700900999")
    assert arrived["message_id"] is None
    assert "StatusCallback" not in parse_qs(arrived["request"])


def test_the_message_id_comes_back_from_the_callback_address(sandbox: str):
    TwilioSms(sandbox_accounts(sandbox).twilio, status_callback=CALLBACK).send(
        OutgoingSms("a&b=c/ü", "+447700900998", "Hello")
    )
    assert received(sandbox, "+447700900998")["message_id"] == "a&b=c/ü"


def test_a_channel_is_shared_by_threads_without_mixing_their_answers(sandbox: str, often_switching: None):
    channel = TwilioSms(sandbox_accounts(sandbox).twilio, status_callback=CALLBACK)
    # Twilio's test number of somebody who opted out: every second answer is a refusal.
    numbers = [number for index in range(40) for number in (f"+4477001{index:05d}", "+15005550004")]
    outcomes: dict[int, str] = {}

    def send(share: int) -> None:
        for index in range(share, len(numbers), 4):
            outcomes[index] = channel.send(OutgoingSms(f"t{index}", numbers[index], "Hello")).outcome

    threads = [threading.Thread(target=send, args=(share,)) for share in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes[index] for index in range(len(numbers))] == ["accepted", "rejected"] * 40


def test_the_sdk_lists_and_fetches_what_it_sent_page_by_page(sandbox: str):
    channel = TwilioSms(sandbox_accounts(sandbox).twilio)
    sids = [channel.send(OutgoingSms("", "+447700900777", f"Hello {index}")).provider_id for index in range(5)]
    _, client = channel._clients
    listed = client.messages.list(to="+447700900777", page_size=2)
    assert [message.sid for message in listed] == sids[::-1]
    assert client.messages(sids[0]).fetch().body == "Hello 0"


def test_a_lookup_does_not_log_the_number(sandbox: str, caplog: pytest.LogCaptureFixture):
    _, client = TwilioSms(sandbox_accounts(sandbox).twilio)._clients
    with caplog.at_level(logging.DEBUG):
        client.messages.list(to="+447700900776", limit=1)
    assert "447700900776" not in caplog.text
