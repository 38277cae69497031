"""Senders: whichever Twilio an SMS goes to, its fate is reported to our receiver."""

from __future__ import annotations

import pytest
from tests.sandbox_client import SandboxClient

from lifecycle import senders
from lifecycle.channels import OutgoingSms
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.journey import Sms, Step

STEP = Step("survey", segment="unused.sql", message=Sms("survey"))


@pytest.mark.parametrize("is_live", [False, True])
def test_an_sms_names_the_receiver_as_the_place_to_report_to(sandbox: SandboxClient, is_live: bool) -> None:
    accounts = sandbox_accounts(sandbox.url)
    channel = (
        senders.live_channel(STEP, sendgrid=lambda: accounts.sendgrid, twilio=lambda: accounts.twilio)
        if is_live
        else senders.sandbox_channel(STEP)
    )
    channel.send(OutgoingSms("0f8fad5b-d9cb-469f-a165-70867728950e", "+33639980001", "Hello"))  # type: ignore[arg-type]
    (message,) = sandbox.messages()
    assert message["message_id"] == "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert "links.test%2Ftwilio%2Fstatus" in message["request"]
