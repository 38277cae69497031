"""Reports: what waits for a person is listed with how many, since when, and where to look; nobody is named."""

from __future__ import annotations

import json

from click.testing import CliRunner
from tests.lifecycle.test_delivery import Desk
from tests.lifecycle.test_delivery import desk as desk

from lifecycle import cli, controls, reports


def test_what_waits_for_a_person_is_listed(desk: Desk) -> None:
    for number in range(6):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    assert reports.problems() == []
    desk.claim()
    states = {
        "ana": "'queued', planned_at = now() - interval '25 hours'",
        "ben": "'queued', planned_at = now() - interval '25 hours', retry_after = now() + interval '1 hour'",
        "cleo": "'sending', lease_until = now() - interval '1 minute'",
        "more-0": "'uncertain'",
        "more-1": "'uncertain'",
        "more-2": "'unconfirmed', settled_at = now() - interval '29 days'",
        "more-3": "'unconfirmed', settled_at = now() - interval '31 days'",
        "more-4": "'accepted'",
    }
    for customer, state in states.items():
        desk.execute(f"update lifecycle.messages set send_state = {state} where customer_id = '{customer}'")
    controls.set_state("sms", "paused", "a wrong price")
    shown = CliRunner().invoke(cli.cli, ["report", "--problems", "--format", "json"]).stdout
    found = {(row["problem"], row["where"]): row for row in json.loads(shown)}
    assert {key: row["messages"] for key, row in found.items()} == {
        ("paused", "sms"): 2,
        ("queued", "hello/greet"): 1,
        ("sending", "hello/greet"): 1,
        ("uncertain", "hello/greet"): 2,
        ("unconfirmed", "hello/greet"): 1,
    }
    assert found["paused", "sms"]["look_at"] == "lifecycle resume sms"
    assert found["paused", "sms"]["why"].endswith(": a wrong price")
    assert found["uncertain", "hello/greet"]["look_at"] == "docs/runbooks/uncertain-messages.md"
    assert all(row["since"] for row in found.values())
    assert not any(word in shown for word in ("ana", "more-", "+3363"))
