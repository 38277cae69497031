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
    # The run of the desk never ends, so that its day is missed on top.
    found = {(row["problem"], row["where"]): row for row in json.loads(shown) if row["problem"] != "missed"}
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


def test_exactly_those_who_got_a_message_of_the_day_are_listed(desk: Desk) -> None:
    for name in ("more-0", "more-1", "more-2"):
        desk.shop.customer(name, phone=f"+3363999001{name[-1]}")
    desk.plan()
    states = {
        "ana": "'accepted', delivery_state = 'delivered', settled_at = '2026-03-31 10:00+00'",
        "ben": "'uncertain'",
        "cleo": "'rejected'",
        "more-0": "'skipped', reason = 'no_consent'",
        "more-1": "'cancelled'",
    }
    for customer, state in states.items():
        desk.execute(f"update lifecycle.messages set send_state = {state} where customer_id = '{customer}'")
    asked = ["sent", "hello/greet", "--on", "2026-03-31", "--format", "json"]
    found = json.loads(CliRunner().invoke(cli.cli, asked).stdout)
    assert [(row["customer_id"], row["send_state"], row["delivery_state"]) for row in found] == [
        ("ana", "accepted", "delivered"),
        ("ben", "uncertain", "none"),
        ("more-2", "queued", "none"),
    ]
    assert "+3363" not in json.dumps(found)
    asked[3] = "2020-01-01"
    assert json.loads(CliRunner().invoke(cli.cli, asked).stdout) == []
