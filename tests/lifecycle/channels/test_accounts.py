"""Credentials are checked when they are given, and never shown."""

import pytest

from lifecycle.channels.accounts import SendGridAccount, TwilioAccount, is_loopback, sandbox_accounts
from lifecycle.errors import LifecycleError

SID = "AC" + "0123456789abcdef" * 2


@pytest.mark.parametrize("key", ["", "SG.a\n", "SG.a b", "SG.\u00e4", "SG.a\x00"])
def test_a_mangled_api_key_is_refused_in_one_line(key: str):
    with pytest.raises(LifecycleError, match="SendGrid API key is empty or contains") as caught:
        SendGridAccount(key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sid", ["", "AC1", "SK" + SID[2:], SID + "\n"])
def test_a_mangled_account_sid_is_refused(sid: str):
    with pytest.raises(LifecycleError, match="account SID"):
        TwilioAccount(sid, "token")


@pytest.mark.parametrize(
    "host", ["", "api.sendgrid.com", "ftp://x", "https://", "https://user:pass@x", "https://x/?a=b"]
)
def test_a_host_that_is_no_address_is_refused(host: str):
    with pytest.raises(LifecycleError, match="is not the address of a provider"):
        SendGridAccount("SG.a", host)


def test_secrets_are_not_shown():
    assert "s3cret" not in repr((SendGridAccount("SG.s3cret"), TwilioAccount(SID, "s3cret")))


def test_without_a_host_the_real_provider_is_meant():
    assert SendGridAccount("SG.a").host == "https://api.sendgrid.com"
    assert TwilioAccount(SID, "t").host == "https://api.twilio.com"


def test_sandbox_accounts_speak_to_the_sandbox_only():
    accounts = sandbox_accounts("http://127.0.0.1:8025/")
    assert {accounts.sendgrid.host, accounts.twilio.host} == {"http://127.0.0.1:8025"}


@pytest.mark.parametrize(
    ("host", "stays"),
    [
        ("http://127.0.0.1:80", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("https://api.twilio.com", False),
        ("http://127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_recognised(host: str, stays: bool):
    assert is_loopback(host) is stays
