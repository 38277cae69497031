"""What each answer of a provider means (reliability: certain yes, certain no, ambiguous), against a server that misbehaves."""

import json
import logging
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.lifecycle.servers import http_answer, misbehaving

from lifecycle.channels import OutgoingEmail, OutgoingSms, Receipt
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.answers import retry_after_seconds
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.channels.twilio_sms import TwilioSms
from lifecycle.errors import LifecycleError

TIMEOUT = 2
EMAIL = OutgoingEmail("id-1", "aiko@example.com", "Subject", "<p>Secret words</p>", "Secret words")
SMS = OutgoingSms("id-1", "+447700900123", "Secret words")
SID = "SM" + "0123456789abcdef" * 2


def send_email(url: str) -> Receipt:
    return SendGridEmail(sandbox_accounts(url).sendgrid, TIMEOUT).send(EMAIL)


def send_sms(url: str) -> Receipt:
    return TwilioSms(sandbox_accounts(url).twilio, TIMEOUT).send(SMS)


Send = Callable[[str], Receipt]
BOTH = pytest.mark.parametrize("send", [send_email, send_sms])


def answer_to(send: Send, raw: bytes) -> Receipt:
    with misbehaving(raw) as (url, _):
        return send(url)


def twilio_refusal(status: int, code: object) -> bytes:
    return http_answer(status, json.dumps({"code": code, "message": "To +447700900123 refused", "status": status}))


@BOTH
@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422])
def test_a_refused_request_is_rejected_for_good(send: Send, status: int):
    receipt = answer_to(send, http_answer(status, "{}"))
    assert (receipt.outcome, receipt.http_status) == ("rejected", status)


@BOTH
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_burn_nobody(send: Send, status: int):
    receipt = answer_to(send, http_answer(status, "{}"))
    assert (receipt.outcome, receipt.provider_code) == ("retry", str(status))
    assert receipt.detail == "credentials refused"


@BOTH
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_provider_error_leaves_it_uncertain(send: Send, status: int):
    receipt = answer_to(send, http_answer(status, "oops"))
    assert (receipt.outcome, receipt.detail) == ("uncertain", "provider error")


@BOTH
@pytest.mark.parametrize("status", [408, 409, 418, 425, 499])
def test_an_unusual_refusal_proves_nothing(send: Send, status: int):
    assert answer_to(send, http_answer(status, "{}")).outcome == "uncertain"


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        http_answer(200, "<html>Welcome to the hotel</html>"),
        http_answer(202, ""),
        http_answer(201, '{"sid": null}'),
        http_answer(201, '{"sid": "SM123"'),
        http_answer(201, "[]"),
        http_answer(201, "null"),
        http_answer(201, "[" * 5000),
        http_answer(204),
        http_answer(202, "{}", {"X-Message-Id": "two words"}),
        b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_an_odd_or_truncated_answer_leaves_it_uncertain(send: Send, raw: bytes):
    assert answer_to(send, raw).outcome == "uncertain"


@BOTH
@pytest.mark.parametrize("behaviour", ["silent", "reset"])
def test_a_lost_answer_leaves_it_uncertain(send: Send, behaviour: str):
    with misbehaving(behaviour=behaviour) as (url, requests_seen):
        started = time.monotonic()
        receipt = send(url)
    assert (receipt.outcome, len(requests_seen)) == ("uncertain", 1)
    assert time.monotonic() - started < 20


@BOTH
def test_a_refused_connection_is_tried_again(send: Send):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        receipt = send(f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (receipt.outcome, receipt.detail) == ("retry", "provider not reached")


@BOTH
def test_an_unknown_host_is_tried_again(send: Send):
    assert send("http://no-such-host.invalid").outcome == "retry"


@BOTH
def test_a_failed_tls_handshake_is_tried_again(send: Send):
    with misbehaving(http_answer(400)) as (url, _):
        assert send(url.replace("http:", "https:")).outcome == "retry"


@BOTH
def test_an_expired_certificate_gets_neither_key_nor_words(send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody answers for that host any more, although whoever signed the certificate is trusted."""
    for is_expired in (False, True):
        tls = certified(tmp_path, is_expired=is_expired)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with misbehaving(http_answer(400), tls=tls) as (url, seen):
            receipt = send(url)
        if is_expired:
            assert (receipt.outcome, receipt.detail, seen) == ("retry", "provider not reached", [])
        else:
            assert (receipt.outcome, len(seen)) == ("rejected", 1)


def certified(folder: Path, *, is_expired: bool) -> ssl.SSLContext:
    """TLS with a certificate for 127.0.0.1 that ended yesterday or ends tomorrow."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=-1 if is_expired else 1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return tls


@BOTH
def test_a_full_connection_queue_is_tried_again(send: Send):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(busy.getsockname())
        receipt = send(f"http://127.0.0.1:{busy.getsockname()[1]}")
        for client in waiting:
            client.close()
    assert receipt.outcome == "retry"


@BOTH
def test_a_redirect_is_not_followed_with_our_credentials(send: Send):
    with misbehaving(http_answer(202, "{}", {"X-Message-Id": "x"})) as (elsewhere, seen):
        for status in (301, 302, 307, 308):
            receipt = answer_to(send, http_answer(status, "", {"Location": elsewhere}))
            assert (receipt.outcome, receipt.http_status) == ("uncertain", status)
    assert seen == []


@BOTH
def test_one_message_is_one_request_whatever_the_answer(send: Send):
    with misbehaving(http_answer(503)) as (url, seen):
        send(url)
    assert len(seen) == 1


@BOTH
def test_a_proxy_of_the_environment_is_not_used_for_this_machine(send: Send, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert answer_to(send, http_answer(400, "{}")).outcome == "rejected"


@BOTH
@pytest.mark.parametrize("password", ["", "us%40er:s%3Acret@"], ids=["open", "with a password"])
def test_a_proxy_of_the_environment_is_used_for_everybody_else(
    send: Send, password: str, monkeypatch: pytest.MonkeyPatch
):
    with misbehaving(http_answer(400, "{}")) as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy.replace("://", f"://{password}"))
        assert send("http://provider.invalid").outcome == "rejected"
        monkeypatch.setenv("no_proxy", "provider.invalid")
        assert send("http://provider.invalid").detail == "provider not reached"
    (asked,) = seen
    assert asked.startswith(b"POST http://provider.invalid/")
    proof = b"proxy-authorization: basic " + b64encode(b"us@er:s:cret")
    assert (proof.lower() in asked.lower()) == bool(password)


@pytest.mark.parametrize("proxy", ["socks5://proxy.invalid:1080", "http://proxy.invalid:port"])
def test_a_proxy_that_cannot_be_used_is_said_before_anything_is_claimed(proxy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(LifecycleError, match="The proxy that the environment names cannot be used"):
        TwilioSms(sandbox_accounts("http://provider.invalid").twilio)


@BOTH
def test_neither_logs_nor_receipts_hold_words_or_addresses(send: Send, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        receipt = answer_to(send, twilio_refusal(400, 21211))
    shown = caplog.text + repr(receipt)
    for secret in ("Secret words", "aiko@example.com", "447700900123", "not-a-real"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("code", "status", "outcome", "detail"),
    [
        (21211, 400, "rejected", "number not valid"),
        (21614, 400, "rejected", "number takes no SMS"),
        (21610, 400, "rejected", "opted out"),
        (21408, 400, "rejected", "country not permitted"),
        (21617, 400, "rejected", "text too long"),
        (21606, 400, "retry", "sender number refused"),
        (20003, 401, "retry", "credentials refused"),
        (20429, 429, "retry", "rate limited"),
        (99999, 400, "rejected", "request refused"),
    ],
)
def test_twilio_codes_are_understood(code: int, status: int, outcome: str, detail: str):
    receipt = answer_to(send_sms, twilio_refusal(status, code))
    assert (receipt.outcome, receipt.provider_code, receipt.detail) == (outcome, str(code), detail)


def test_a_twilio_code_that_is_no_number_is_not_repeated():
    assert answer_to(send_sms, twilio_refusal(400, "+447700900123")).provider_code == "400"


def test_twilio_problem_details_are_read_like_any_refusal():
    problem = {"type": "about:blank", "title": "Opted out", "status": 400, "code": 21610}
    receipt = answer_to(send_sms, http_answer(400, json.dumps(problem)))
    assert (receipt.outcome, receipt.provider_code) == ("rejected", "21610")


def test_twilio_takes_a_message_by_giving_it_a_sid():
    receipt = answer_to(send_sms, http_answer(201, json.dumps({"sid": SID, "status": "some_new_word"})))
    assert receipt == Receipt("accepted", provider_id=SID, http_status=201)


def test_sendgrid_takes_a_message_by_giving_it_an_id():
    receipt = answer_to(send_email, http_answer(202, "", {"x-message-id": "abc.DEF-1_2"}))
    assert receipt == Receipt("accepted", provider_id="abc.DEF-1_2", http_status=202)


def test_sendgrids_own_sandbox_mode_is_not_taken_for_sending():
    assert answer_to(send_email, http_answer(200, "", {"X-Message-Id": "abc"})).outcome == "uncertain"


def test_sendgrid_names_the_field_it_refuses_but_its_words_stay_outside():
    error = {"message": "aiko@example.com is bad", "field": "personalizations.0.to.0.email", "help": None}
    receipt = answer_to(send_email, http_answer(400, json.dumps({"errors": [error]})))
    assert receipt.provider_code == "personalizations.0.to.0.email"


def test_sendgrid_field_that_holds_an_address_is_not_repeated():
    error = {"message": "bad", "field": "aiko@example.com"}
    assert answer_to(send_email, http_answer(400, json.dumps({"errors": [error]}))).provider_code == "400"


def test_text_that_is_not_unicode_is_rejected_before_anything_leaves():
    with misbehaving(http_answer(500)) as (url, seen):
        receipt = TwilioSms(sandbox_accounts(url).twilio, TIMEOUT).send(OutgoingSms("id", "+447700900123", "\ud83d"))
    assert (receipt.outcome, seen) == ("rejected", [])


@BOTH
@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7), ("0.5", 0.5), ("7200", 3600), ("-1", None), ("1e9", None), ("soon", None), ("nan", None), ("", None)],
)
def test_a_rate_limit_is_waited_out(send: Send, value: str, expected: float | None):
    receipt = answer_to(send, http_answer(429, "{}", {"Retry-After": value}))
    assert (receipt.outcome, receipt.retry_after_seconds) == ("retry", expected)


def test_a_rate_limit_without_a_time_is_tried_again_too():
    receipt = answer_to(send_sms, http_answer(429, "{}"))
    assert (receipt.outcome, receipt.retry_after_seconds) == ("retry", None)


def test_a_wait_may_be_given_as_a_date():
    waited = retry_after_seconds({"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    assert waited is not None
    assert 55 < waited <= 60


def test_a_date_in_the_past_is_no_wait():
    assert retry_after_seconds({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None


def test_sendgrid_says_when_its_limit_is_lifted():
    waited = retry_after_seconds({"X-RateLimit-Reset": str(int(time.time()) + 30)})
    assert waited is not None
    assert 25 < waited <= 30
