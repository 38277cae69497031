"""Which channel a step is sent through: the sandbox, or a real provider when that was asked for aloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle import links, settings
from lifecycle.channels.accounts import SendGridAccount, TwilioAccount, sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.channels.twilio_sms import TwilioSms

if TYPE_CHECKING:
    from lifecycle.channels import EmailChannel, SmsChannel
    from lifecycle.journey import Step


def sandbox_channel(step: Step) -> EmailChannel | SmsChannel:
    """The official SDKs, pointed at the sandbox."""
    from lifecycle import stack

    sendgrid, twilio = sandbox_accounts(settings.sandbox_url() or stack.sandbox_url())
    return SendGridEmail(sendgrid) if step.message.channel == "email" else _sms(twilio)


def live_channel(
    step: Step, *, sendgrid: Callable[[], SendGridAccount], twilio: Callable[[], TwilioAccount]
) -> EmailChannel | SmsChannel:
    """The official SDKs, pointed at the providers; the account is asked for only when it is needed."""
    return SendGridEmail(sendgrid()) if step.message.channel == "email" else _sms(twilio())


def _sms(account: TwilioAccount) -> TwilioSms:
    """Twilio reports to the receiver what becomes of each SMS; the address it reports to carries our message id."""
    return TwilioSms(account, status_callback=f"{links.base_url()}/twilio/status")
