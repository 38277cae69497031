"""With whose credentials, and to which address, the channels speak."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from lifecycle.errors import LifecycleError

SENDGRID_HOST = "https://api.sendgrid.com"
TWILIO_HOST = "https://api.twilio.com"

_SANDBOX_SENDGRID_KEY = "SG.sandbox.not-a-real-key"
_SANDBOX_TWILIO_TOKEN = "sandbox-not-a-real-token"
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class SendGridAccount:
    """Who sends the emails. `host` is SendGrid's own unless the sandbox is meant."""

    api_key: str = field(repr=False)
    host: str = SENDGRID_HOST

    def __post_init__(self) -> None:
        _check_secret(self.api_key, "SendGrid API key")
        _check_host(self.host)


@dataclass(frozen=True)
class TwilioAccount:
    """Who sends the SMS. `host` is Twilio's own unless the sandbox is meant."""

    account_sid: str
    auth_token: str = field(repr=False)
    host: str = TWILIO_HOST

    def __post_init__(self) -> None:
        if not _ACCOUNT_SID.fullmatch(self.account_sid):
            raise LifecycleError("The Twilio account SID is not AC and 32 hexadecimal digits", hint="Copy it again")
        _check_secret(self.auth_token, "Twilio auth token")
        _check_host(self.host)


class SandboxAccounts(NamedTuple):
    """One account per provider."""

    sendgrid: SendGridAccount
    twilio: TwilioAccount


def sandbox_accounts(sandbox_url: str) -> SandboxAccounts:
    """Invented credentials that the sandbox accepts and no real provider would."""
    host = sandbox_url.rstrip("/")
    return SandboxAccounts(
        SendGridAccount(_SANDBOX_SENDGRID_KEY, host),
        TwilioAccount("AC" + "0" * 32, _SANDBOX_TWILIO_TOKEN, host),
    )


def refuse_sandbox(secret: str, name: str) -> None:
    """Refuse the sandbox's credentials where real people are meant to be written to.

    Raises:
        LifecycleError: they are the sandbox's.
    """
    if secret in (_SANDBOX_SENDGRID_KEY, _SANDBOX_TWILIO_TOKEN):
        hint = "Put the provider's own key there, or unset LIFECYCLE_LIVE"
        raise LifecycleError(
            f"The connection {name!r} holds a key of the sandbox, and LIFECYCLE_LIVE is yes", hint=hint
        )


def is_loopback(host: str) -> bool:
    """Whether an address stays on this machine; such traffic never goes through a proxy."""
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _check_secret(secret: str, name: str) -> None:
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise LifecycleError(f"The {name} is empty or contains a space or line break", hint="Copy it again")


def _check_host(host: str) -> None:
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise LifecycleError(f"{host!r} is not the address of a provider", hint="Write it as https://host")
