"""Which channel a step is sent through: the sandbox, or a real provider when that was asked for aloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle import links, settings
from lifecycle.channels.accounts import SandboxAccounts, SendGridAccount, TwilioAccount, sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.channels.twilio_sms import TwilioSms

if TYPE_CHECKING:
    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Step


def sandbox_channel(step: Step) -> EmailChannel | SmsChannel:
    """The official SDKs, pointed at the sandbox."""
    return sandbox_email() if step.message.channel == "email" else _sms(_sandbox().twilio)


def sandbox_email() -> SendGridEmail:
    """SendGrid's SDK, pointed at the sandbox."""
    return SendGridEmail(_sandbox().sendgrid)


def _sandbox() -> SandboxAccounts:
    from lifecycle import stack

    return sandbox_accounts(settings.sandbox_url() or stack.sandbox_url())


def live_email(account: SendGridAccount) -> SendGridEmail:
    """SendGrid's SDK, pointed at SendGrid."""
    return SendGridEmail(account)


def live_channel(
    step: Step, *, sendgrid: Callable[[], SendGridAccount], twilio: Callable[[], TwilioAccount]
) -> EmailChannel | SmsChannel:
    """The official SDKs, pointed at the providers; the account is asked for only when it is needed."""
    return SendGridEmail(sendgrid()) if step.message.channel == "email" else _sms(twilio())


def _sms(account: TwilioAccount) -> TwilioSms:
    """Twilio reports to the receiver what becomes of each SMS; the address it reports to carries our message id."""
    return TwilioSms(account, status_callback=f"{links.base_url()}/twilio/status")
