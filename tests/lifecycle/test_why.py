"""`lifecycle why`: it names the very rule that decided, with its value, for whoever got a message, did not, or never was due."""

from __future__ import annotations

import json
import subprocess
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.journey_runner import JourneyRunner
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import declarations, journeys, replay, runs, stages, why
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.errors import LifecycleError

DAY = date(2026, 3, 31)
NOW = datetime(2026, 3, 31, 12, tzinfo=timezone.utc)

_ORDERED = """-- Who ordered {days} days before the run day. Reads: shop.orders.
select
    orders.customer_id,
    orders.order_id as anchor
from shop.orders as orders
where
    orders.ordered_at >= as_of() - interval '{days} days'
    and orders.ordered_at < as_of() - interval '{days} days' + interval '1 day'
"""
_VISITED = """-- Who visited after entering. Reads: shop.enrollments, shop.page_views.
select
    enrollments.customer_id,
    enrollments.anchor,
    min(visits.viewed_at) as converted_at
from shop.enrollments as enrollments
inner join shop.page_views as visits
    on enrollments.customer_id = visits.customer_id and visits.viewed_at >= enrollments.entered_at
where enrollments.journey = 'lab' and enrollments.exited_at is null
group by enrollments.customer_id, enrollments.anchor
"""
_FRENCH = """-- Everybody in France, every day. Reads: shop.customers.
select customers.customer_id, as_of()::date::text as anchor
from shop.customers as customers
where customers.country = 'FR' and customers.email like '%@example.com'
"""


class Provider:
    """An SMS provider that takes everything."""

    def send(self, message: OutgoingSms) -> Receipt:
        return Receipt("accepted", provider_id=f"SM{message.message_id}", http_status=201)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Shop:
    """Two journeys about people for each of whom another rule of the policy decides."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_SMS_CAP", "2/30")
    project = ProjectBuilder(tmp_path)
    steps = 'Step("first", segment="first.sql", message=Sms("greet")), Step("last", segment="last.sql", message=Sms("greet"))'
    project.dag("lab", f'Journey(name="lab", steps=[{steps}], goal=Goal("visited.sql"), holdout_percent=15)')
    project.segment("lab", "first", _ORDERED.format(days=10))
    project.segment("lab", "last", _ORDERED.format(days=12))
    project.segment("lab", "visited", _VISITED)
    project.template("lab", "greet.sms.j2", "Hello. STOP to end")
    project.sms_journey("rival", more=", priority=90")
    project.segment("rival", "all", _FRENCH)
    _fill(shop)
    return shop


def _fill(shop: Shop) -> None:
    for number in range(8):
        shop.order(shop.customer(f"plain-{number}"), DAY - timedelta(days=10 + number % 4))
    for person in ("silent-1", "silent-2"):
        shop.order(shop.customer(person, sms_consent=False), DAY - timedelta(days=10))
    shop.order(shop.customer("nowhere", phone=" "), DAY - timedelta(days=10))
    for twin in ("twin-a", "twin-b", "twin-c"):
        shop.order(shop.customer(twin, phone="+447700900077"), DAY - timedelta(days=10))
    shop.order(shop.customer("blocked", phone="+447700900088"), DAY - timedelta(days=10))
    shop.connection.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source, suppressed_at) "
        "values ('sms', lifecycle.address_hash('+447700900088'), 'stop', 'twilio', '2026-01-02')"
    )
    shop.order(shop.customer("french", country="FR"), DAY - timedelta(days=10))
    for person in ("visitor-1", "visitor-2"):
        shop.order(shop.customer(person), DAY - timedelta(days=10))
        shop.visit(person, DAY + timedelta(days=1))
    for number in range(2):
        person = shop.customer(f"often-{number}")
        for days in (10, 9, 8):
            shop.order(person, DAY - timedelta(days=days))


def _run(name: str, day: date) -> None:
    declared = journeys.load(name)
    context = runs.for_day(declared.journey, day, declared.zone)
    stages.run_all(context, lambda _: Provider())  # type: ignore[arg-type, return-value]


def _asked(customer_id: str, journey: str, day: date | None) -> list[dict[str, Any]]:
    return why.explain([journeys.read(journey)], customer_id, day, NOW)


def _rules(rows: list[dict[str, Any]], step: str) -> dict[str, tuple[str, str]]:
    return {row["rule"]: (row["result"], row["value"]) for row in rows if row["step"] == step}


def _first_applying(rows: list[dict[str, Any]], step: str) -> str:
    applying = [
        row["rule"] for row in rows if row["step"] == step and row["part"] == "policy" and row["result"] == "applies"
    ]
    return applying[0] if applying else ""


@pytest.mark.needs_processors
def test_it_names_the_rule_that_decided_for_everybody_on_every_day(lab: Shop) -> None:
    seen = set()
    for number in range(3):
        day = DAY + timedelta(days=number)
        _run("rival", day)
        declared = journeys.load("lab")
        planned = replay.plan(runs.for_day(declared.journey, day, declared.zone))
        for row in planned:
            # Of people who share an address the plan of everybody takes one; nobody's own facts say which.
            if row.outcome != "already_decided" and not row.customer_id.startswith("twin"):
                rows = _asked(row.customer_id, "lab", day)
                result, value = _of_anchor(rows, row.step, row.anchor)
                expected = (
                    ("would send", "") if row.outcome == "would_send" else ("skipped", row.reason.partition("(")[0])
                )
                assert (result, value) == expected, row
        _run("lab", day)
        for customer_id, step, anchor, reason in lab.connection.execute(
            "select customer_id, step, anchor, coalesce(reason, '') from lifecycle.messages "
            "where journey = 'lab' and run_day = %s",
            (day,),
        ).fetchall():
            rows = _of_step(_asked(customer_id, "lab", day), step, anchor)
            assert _first_applying(rows, step) == reason.partition("(")[0], (customer_id, step, day)
            seen.add(reason.partition("(")[0])
    assert seen >= {
        "", "past_entry", "superseded", "converted", "holdout", "invalid_address", "no_consent", "suppressed",
        "duplicate_address", "lost_to", "frequency_cap",
    }  # fmt: skip


def _of_anchor(rows: list[dict[str, Any]], step: str, anchor: str) -> tuple[str, str]:
    decision = _of_step(rows, step, anchor)[0]
    return decision["result"], decision["value"]


def _of_step(rows: list[dict[str, Any]], step: str, anchor: str) -> list[dict[str, Any]]:
    """The rows about one anchor of a step, from its decision on."""
    mine = [row for row in rows if row["step"] == step]
    starts = [place for place, row in enumerate(mine) if row["part"] == "outcome"]
    for start, end in zip(starts, [*starts[1:], len(mine)], strict=True):
        if any(row["part"] == "segment" and f"anchor {anchor}" in row["value"] for row in mine[start:end]):
            return mine[start:end]
    raise AssertionError((step, anchor, mine))


def test_a_late_day_says_how_late_it_is(lab: Shop) -> None:
    _run("lab", DAY)
    declared = journeys.load("lab")
    late = runs.for_day(declared.journey, DAY + timedelta(days=1), declared.zone, today=DAY + timedelta(days=6))
    stages.run_all(late, lambda _: Provider())  # type: ignore[arg-type, return-value]
    found = lab.connection.execute("select customer_id, step from lifecycle.messages where reason = 'stale'").fetchall()
    assert found
    for customer_id, step in found:
        rows = _asked(customer_id, "lab", DAY + timedelta(days=1))
        assert _rules(rows, step)["stale"] == ("applies", "5 days late, 3 allowed")
        assert _first_applying(rows, step) == "stale"


def test_values_say_what_a_rule_rests_on(lab: Shop) -> None:
    french = _rules(_asked("french", "rival", DAY), "greet")
    assert french["no_consent"] == ("passes", "given 2020-01-01 00:00 by shop opt-in")
    assert french["frequency_cap"] == ("passes", "0 of 2 in 30 days up to 2026-03-31")
    assert _rules(_asked("blocked", "lab", DAY), "first")["suppressed"] == ("applies", "stop by twilio on 2026-01-02")
    assert _rules(_asked("nowhere", "lab", DAY), "first")["invalid_address"] == ("applies", "has no phone number")
    _run("rival", DAY)
    lost = _rules(_asked("french", "lab", DAY), "first")
    assert lost["lost_to"] == ("applies", "rival/greet has the day")


def test_a_rule_is_shown_as_it_was_when_it_decided(lab: Shop) -> None:
    _run("rival", DAY)
    lab.connection.execute(
        "insert into lifecycle.consents (customer_id, channel, is_granted, source) values ('french', 'sms', false, 'sms_stop')"
    )
    then = _rules(_asked("french", "rival", DAY), "greet")
    assert then["no_consent"][0] == "passes"
    assert then["decision"][0] == "accepted"
    tomorrow = _rules(_asked("french", "rival", DAY + timedelta(days=1)), "greet")
    assert tomorrow["no_consent"][0] == "applies"
    assert "by sms_stop" in tomorrow["no_consent"][1]


def test_each_condition_of_a_segment_has_its_line_and_its_value(shop: Shop) -> None:
    shop.order(shop.customer("back"), DAY - timedelta(days=30))
    shop.visit("back", DAY - timedelta(days=5))
    rows = _asked("back", "reactivation", DAY)
    conditions = [row for row in rows if row["step"] == "survey" and row["rule"].startswith("last_seen")]
    assert [(row["rule"].split(":")[0], row["result"]) for row in conditions] == [
        ("last_seen, line 8", "true"),
        ("last_seen, line 9", "true"),
        ("last_seen, line 11", "false"),
    ]
    assert conditions[0]["value"] == (
        "activities.occurred_at = 2026-03-01 12:00:00+00; "
        "as_of() - interval '30 days' = 2026-03-01 00:00:00+00; holds for 2 of 2 rows"
    )
    assert conditions[2]["value"].startswith("rows found = 1; newest later.occurred_at = 2026-03-26 12:00:00+00")
    decision = _rules(rows, "survey")["decision"]
    assert decision[0] == "not due"
    assert decision[1].startswith("last_seen, line 11: not exists(select 1 from shop.activities as later")


def test_whoever_has_no_row_and_never_entered_is_told_so(shop: Shop) -> None:
    shop.customer("new")
    rows = _asked("new", "reactivation", DAY)
    assert (rows[0]["part"], rows[0]["result"]) == ("journey", "never")
    conditions = [row for row in rows if row["step"] == "survey" and row["rule"].startswith("last_seen")]
    assert {row["result"] for row in conditions} == {"no row"}
    assert conditions[0]["value"] == "shop.activities has no row of this customer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "select customers.customer_id, 'x' as anchor from shop.customers as customers "
            "inner join shop.orders as orders on customers.customer_id = orders.customer_id "
            "where customers.country = 'FR' group by customers.customer_id having count(*) >= 2",
            [("inner join shop.orders", "true"), ("customers.country = 'FR'", "true"), ("count(*) >= 2", "false")],
        ),
        (
            "select customers.customer_id, 'x' as anchor from shop.customers as customers, shop.carts as carts "
            "where carts.customer_id = customers.customer_id and (customers.city = 'Paris' or customers.city is null)",
            [
                ("shop.carts as carts", "false"),
                ("carts.customer_id = customers.customer_id", "false"),
                ("customers.city = 'Paris' or customers.city is null", "true"),
            ],
        ),
        (
            "select spent.customer_id, 'x' as anchor from (select orders.customer_id, sum(orders.total_cents) as cents "
            "from shop.orders as orders group by orders.customer_id) as spent where spent.cents between 900 and 1100",
            [("spent.cents between 900 and 1100", "true")],
        ),
        (
            "select customers.customer_id, 'a' as anchor from shop.customers as customers where customers.country = 'DE' "
            "union all select orders.customer_id, 'b' as anchor from shop.orders as orders where orders.total_cents > 5",
            [("customers.country = 'DE'", "false"), ("orders.total_cents > 5", "true")],
        ),
        (
            "with recursive days as (select 1 as day union all select days.day + 1 from days where days.day < 3) "
            "select customers.customer_id, 'x' as anchor from shop.customers as customers "
            "where exists (select 1 from days where days.day = 3)",
            [("exists(select 1 from days where days.day = 3)", "true")],
        ),
    ],
)
def test_segments_of_other_forms_are_taken_apart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop, text: str, expected: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey("forms")
    project.segment("forms", "all", text)
    shop.order(shop.customer("ana", country="FR"), DAY - timedelta(days=3))
    rows = [row for row in _asked("ana", "forms", DAY) if row["part"] == "segment" and row["rule"].startswith("line")]
    assert [
        (row["rule"].split(": ", 1)[1][: len(said)], row["result"])
        for row, (said, _) in zip(rows, expected, strict=True)
    ] == expected


def test_neither_address_nor_name_is_ever_shown(lab: Shop) -> None:
    lab.customer(
        "private", email="private.person@example.com", phone="+447700900123", first_name="Zebedee", country="FR"
    )
    _run("rival", DAY)
    rows = _asked("private", "rival", DAY)
    said = json.dumps(rows, default=str)
    assert "customers.email = (not shown)" in said
    assert [word for word in ("private.person", "7700900123", "Zebedee") if word in said] == []


def test_what_was_recorded_is_told_to_the_click(shop: Shop, sandbox: SandboxClient) -> None:
    shop.order(shop.customer("ana"), DAY - timedelta(days=30))
    JourneyRunner("reactivation", today=DAY).run(DAY)
    shop.connection.execute(
        "insert into lifecycle.engagements (message_id, customer_id, journey, step, anchor, kind, is_machine, occurred_at) "
        "select message_id, customer_id, journey, step, anchor, 'click', false, '2026-03-31 18:30+01' from lifecycle.messages"
    )
    rows = _asked("ana", "reactivation", None)
    assert {row["run_day"] for row in rows} == {DAY}
    survey = _rules(rows, "survey")
    assert survey["decision"][0] == survey["send_state"][0] == "accepted"
    assert survey["attempts"] == ("1", "accepted 201")
    assert survey["clicks"] == ("1", "first 2026-03-31 18:30")
    assert "manual run 1 of 2026-03-31, git " in survey["planned"][1]
    (file,) = [row for row in rows if row["rule"] == "silent_30_days.sql"]
    declared = journeys.load("reactivation")
    sha = runs.git_sha()
    assert f"selected by the manual run 1, git {sha or 'unknown'}" in file["value"]
    digest = stages.segments.segment_of(declared.journey, declared.journey.step("survey")).sha()
    assert f"file sha {digest[:12]}" in file["value"]


def test_a_file_that_changed_since_is_read_as_the_run_read_it(lab: Shop, tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    runs.git_sha.cache_clear()
    try:
        _run("rival", DAY)
    finally:
        runs.git_sha.cache_clear()
    file = tmp_path / "include/sql/journeys/rival/all.sql"
    file.write_text(_FRENCH.replace("'FR'", "'DE'"), encoding="utf-8")
    rows = _asked("french", "rival", DAY)
    assert _rules(rows, "greet")["file"] == ("changed", "the file has changed since; this is how the run read it")
    assert any(row["rule"].endswith("customers.country = 'FR'") and row["result"] == "true" for row in rows)
    tomorrow = _asked("french", "rival", DAY + timedelta(days=1))
    assert any(row["rule"].endswith("customers.country = 'DE'") and row["result"] == "false" for row in tomorrow)


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_nobody_knows_a_stranger(database_url: str) -> None:
    with pytest.raises(LifecycleError, match="There is no customer 'stranger'"):
        _asked("stranger", "reactivation", DAY)


def test_an_id_is_never_taken_for_sql(shop: Shop) -> None:
    shop.order(shop.customer("o'neill --"), DAY - timedelta(days=30))
    assert _rules(_asked("o'neill --", "reactivation", DAY), "survey")["decision"] == ("would send", "")


@pytest.mark.parametrize("name", journeys.names())
def test_a_declaration_reads_the_same_without_airflow(name: str) -> None:
    loaded, read = journeys.load(name), journeys.read(name)
    assert (read, read.journey.cron) == (loaded, loaded.journey.cron)


def test_a_declaration_that_does_more_is_left_to_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey("hello")
    file = tmp_path / "dags" / "hello.py"
    assert declarations.read(file) is not None
    file.write_text(file.read_text(encoding="utf-8").replace("daily(", "daily(at="), encoding="utf-8")
    assert declarations.read(file) is None
    assert journeys.read("hello").zone == "Europe/London"
