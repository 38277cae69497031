"""The keys a receiver checks webhooks with, and whether it may start with them (threat T14)."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass

from lifecycle import links, settings
from lifecycle.errors import LifecycleError
from lifecycle.webhook_signatures import require_sendgrid_key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebhookKeys:
    """Keys per provider, the newest first. `is_unchecked` takes the word of whoever calls where there are none."""

    sendgrid: tuple[str, ...] = ()
    twilio: tuple[str, ...] = ()
    is_unchecked: bool = False


def configured() -> WebhookKeys:
    """The configured keys; where nothing is live and none are set, the sandbox's."""
    keys = WebhookKeys(settings.sendgrid_webhook_keys(), settings.twilio_auth_tokens())
    if settings.is_live():
        return keys
    sandbox = _of_sandbox()
    return WebhookKeys(keys.sendgrid or sandbox.sendgrid, keys.twilio or sandbox.twilio)


def _of_sandbox() -> WebhookKeys:
    from lifecycle.sandbox import keys

    return WebhookKeys((keys.sendgrid_public_key(),), (keys.twilio_auth_token(),))


def required(host: str, *, is_insecure: bool = False) -> WebhookKeys:
    """The keys to serve with at an address.

    Raises:
        LifecycleError: there are none, one is none, or what is live would believe the sandbox.
    """
    if is_insecure and not is_loopback(host):
        raise LifecycleError(f"--insecure is not possible on {host}", hint="Use it with --host 127.0.0.1 only")
    keys = configured()
    for key in keys.sendgrid:
        require_sendgrid_key(key)
    if settings.is_live():
        links.base_url()
        _refuse_sandbox(keys)
    if is_insecure:
        return WebhookKeys(keys.sendgrid, keys.twilio, is_unchecked=True)
    if not keys.sendgrid and not keys.twilio:
        hint = "Set LIFECYCLE_SENDGRID_WEBHOOK_KEYS or LIFECYCLE_TWILIO_AUTH_TOKENS"
        raise LifecycleError("The receiver has no key to check webhooks with", hint=hint)
    for name, found in (("SendGrid", keys.sendgrid), ("Twilio", keys.twilio)):
        if not found:
            log.warning("no key of %s is set: its webhooks are refused", name)
    return keys


def _refuse_sandbox(keys: WebhookKeys) -> None:
    sandbox = _of_sandbox()
    if {*sandbox.sendgrid, *sandbox.twilio} & {*keys.sendgrid, *keys.twilio}:
        raise LifecycleError("LIFECYCLE_LIVE=yes with a key of the sandbox", hint="Set the provider's own keys")


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
