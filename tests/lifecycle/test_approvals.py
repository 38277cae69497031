"""Nothing unusual is sent without a person (reliability G21, bad inputs 20 and 21)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.lifecycle.test_cli import Run
from tests.lifecycle.test_cli import run as run
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import approvals, journeys, missed_days, replay, reports, runs, stages
from lifecycle.approvals import AudienceHeldError
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.journey import Step

TUESDAY = date(2026, 3, 31)
USUAL = 70
NEW_ON_THE_DAY_BEFORE = """
select customers.customer_id, 'signup' as anchor
from shop.customers as customers
where customers.signed_up_at >= as_of() - interval '1 day'
order by customers.customer_id
"""
NEW_TWO_DAYS_BEFORE = """
select customers.customer_id, 'signup' as anchor
from shop.customers as customers
where
    customers.signed_up_at >= as_of() - interval '2 days'
    and customers.signed_up_at < as_of() - interval '1 day'
order by customers.customer_id
"""


@dataclass
class Provider:
    """An SMS provider that takes everything."""

    received: list[OutgoingSms] = field(default_factory=list)

    def send(self, message: OutgoingSms) -> Receipt:
        self.received.append(message)
        return Receipt("accepted", provider_id=f"SM{len(self.received)}", http_status=201)


@dataclass
class Welcome:
    """A journey that greets who signed up on the day before, and gives tips a day later."""

    shop: Shop
    provider: Provider = field(default_factory=Provider)
    declared: Any = field(default_factory=lambda: journeys.load("welcome"))

    @property
    def hello(self) -> Step:
        return self.declared.journey.step("hello")

    def sign_up(self, people: int, day: date, prefix: str = "") -> None:
        """So many people sign up at noon of a day."""
        noon = datetime.combine(day, time(12), timezone.utc)
        self.shop.connection.execute(
            "insert into imported.customers (customer_id, signed_up_at, phone, sms_opt_in_at) "
            "select %(day)s::date || %(prefix)s || '-' || n, %(noon)s, "
            "'+3363' || lpad((abs(hashtext(%(day)s::date || %(prefix)s || '-' || n)) %% 10000000)::text, 7, '0'), %(noon)s "
            "from generate_series(1, %(people)s) as n",
            {"day": day, "prefix": prefix, "noon": noon, "people": people},
        )

    def context(self, day: date, *, today: date | None = None) -> runs.RunContext:
        clock = datetime.now(timezone.utc).date()
        return runs.for_day(self.declared.journey, day, self.declared.zone, today=today, clock=clock)

    def play(self, day: date, *, today: date | None = None, **approved: int) -> dict[str, Any]:
        context = self.context(day, today=today)
        return stages.run_all(context, lambda _: self.provider, approved)  # type: ignore[arg-type, return-value]

    def decided(self, step: str = "hello", day: date = TUESDAY) -> int:
        """How many were planned or skipped."""
        found = self.shop.connection.execute(
            "select count(*) from lifecycle.messages where step = %s and run_day = %s", (step, day)
        ).fetchone()
        assert found
        return found[0]

    def entered(self, day: date = TUESDAY) -> int:
        found = self.shop.connection.execute(
            "select count(*) from lifecycle.enrollments where entered_at > %s", (day - timedelta(days=1),)
        ).fetchone()
        assert found
        return found[0]


@pytest.fixture
def welcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Welcome:
    """The journey after four usual Tuesdays."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    file = project.dag(
        "welcome",
        'Journey(name="welcome", steps=[Step("hello", segment="one.sql", message=Sms("hello")), '
        'Step("tips", segment="two.sql", message=Sms("hello"))])',
    )
    weekly = 'CronTriggerTimetable("0 10 * * 2", timezone="Europe/London")'
    text = file.read_text().replace('daily("10:00", tz="Europe/London")', weekly)
    file.write_text(text.replace("import DAG", "import DAG, CronTriggerTimetable"))
    project.segment("welcome", "one", NEW_ON_THE_DAY_BEFORE)
    project.segment("welcome", "two", NEW_TWO_DAYS_BEFORE)
    project.template("welcome", "hello.sms.j2", "Hello. STOP to end")
    journey = Welcome(shop)
    for weeks in (4, 3, 2, 1):
        tuesday = TUESDAY - timedelta(weeks=weeks)
        journey.sign_up(USUAL, tuesday - timedelta(days=1))
        journey.play(tuesday)
    journey.provider.received.clear()
    return journey


def test_a_usual_audience_goes_without_anybody(welcome: Welcome) -> None:
    welcome.sign_up(3 * USUAL, TUESDAY - timedelta(days=1))
    assert welcome.play(TUESDAY)["steps"]["hello"]["accepted"] == 3 * USUAL
    assert reports.problems() == []


def test_four_times_the_usual_waits_and_nobody_of_it_is_planned_or_entered(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    with pytest.raises(AudienceHeldError) as held:
        welcome.play(TUESDAY)
    assert "welcome/hello has 280 people where 70 are usual on Tuesday, 2026-03-31" in str(held.value)
    assert "lifecycle run welcome --as-of 2026-03-31 --approve hello=280" in str(held.value)
    assert welcome.provider.received == []
    assert (welcome.decided(), welcome.entered()) == (0, 0)
    (problem,) = reports.problems()
    assert (problem.problem, problem.where, problem.messages) == ("held", "welcome/hello", 280)
    assert problem.look_at == "docs/how-to/approve-an-audience.md"


def test_the_other_steps_go_while_one_is_held_and_the_day_counts_as_missed(welcome: Welcome) -> None:
    welcome.sign_up(7, TUESDAY - timedelta(days=2))
    welcome.play(TUESDAY - timedelta(days=1))
    welcome.provider.received.clear()
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    with pytest.raises(AudienceHeldError):
        welcome.play(TUESDAY)
    assert len(welcome.provider.received) == 7
    missed = missed_days.listed(welcome.declared, datetime(2026, 3, 31, 20, tzinfo=timezone.utc))
    assert missed[-1].last == TUESDAY


def test_approving_of_the_very_count_sends_to_everybody_once(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    with pytest.raises(AudienceHeldError):
        welcome.play(TUESDAY)
    assert welcome.play(TUESDAY, hello=280)["steps"]["hello"]["accepted"] == 280
    # Who was approved of is not asked about again, and gets nothing twice.
    welcome.play(TUESDAY)
    assert len(welcome.provider.received) == 280
    assert reports.problems() == []


def test_an_approval_of_another_count_or_another_step_does_not_count(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    with pytest.raises(AudienceHeldError):
        welcome.play(TUESDAY, hello=279)
    with pytest.raises(AudienceHeldError):
        welcome.play(TUESDAY, tips=280)
    assert welcome.provider.received == []


def test_an_approval_counts_no_more_when_the_audience_differs_though_its_size_does_not(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    context = welcome.context(TUESDAY)
    stages.record_conversions(context)
    stages.select_audience(context, welcome.hello)
    held = stages.review_audience(context, welcome.hello)
    assert held
    stages.decide(context, held, "approved", "ana")
    assert stages.review_audience(context, welcome.hello) is None
    welcome.shop.connection.execute("delete from imported.customers where customer_id = '2026-03-30-280'")
    welcome.sign_up(1, TUESDAY - timedelta(days=1), prefix="-other")
    stages.select_audience(context, welcome.hello)
    with pytest.raises(AudienceHeldError, match="280 people"):
        stages.queue_messages(context, welcome.hello, [])
    again = stages.review_audience(context, welcome.hello)
    assert again
    assert again.fingerprint != held.fingerprint
    assert welcome.decided() == 0


@pytest.mark.parametrize("decision", ["rejected", "timed_out"])
def test_a_no_and_no_answer_send_nothing_and_a_mended_segment_does(
    welcome: Welcome, decision: approvals.Decision
) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    context = welcome.context(TUESDAY)
    stages.record_conversions(context)
    stages.select_audience(context, welcome.hello)
    held = stages.review_audience(context, welcome.hello)
    assert held
    stages.decide(context, held, decision, "ana")
    with pytest.raises(AudienceHeldError):
        stages.queue_messages(context, welcome.hello, [])
    assert welcome.decided() == 0
    (problem,) = reports.problems()
    assert problem.why.endswith({"rejected": "ana said no", "timed_out": "nobody answered in time"}[decision])
    file = welcome.declared.journey.sql_path("one.sql")
    file.write_text(NEW_ON_THE_DAY_BEFORE.replace("order by", "and customers.customer_id like '%9' order by"))
    # The right ones among them were neither planned nor skipped before, so that nobody is lost.
    assert welcome.play(TUESDAY)["steps"]["hello"] == {"accepted": 28}
    assert reports.problems() == []


def test_nobody_where_there_is_always_somebody_waits(welcome: Welcome) -> None:
    with pytest.raises(AudienceHeldError, match="nobody where 70 are usual"):
        welcome.play(TUESDAY)
    assert welcome.play(TUESDAY, hello=0)["steps"] == {"hello": {}, "tips": {}}


def test_a_first_run_passes_up_to_the_cap(welcome: Welcome, monkeypatch: pytest.MonkeyPatch) -> None:
    wednesday = TUESDAY + timedelta(weeks=20, days=1)
    welcome.sign_up(300, wednesday - timedelta(days=1))
    monkeypatch.setenv("LIFECYCLE_AUDIENCE_CAP", "299")
    with pytest.raises(AudienceHeldError, match="300 people, above the cap of 299"):
        welcome.play(wednesday)
    monkeypatch.setenv("LIFECYCLE_AUDIENCE_CAP", "300")
    welcome.shop.connection.execute("delete from lifecycle.runs")
    assert welcome.play(wednesday)["steps"]["hello"]["accepted"] == 300


@pytest.mark.parametrize(
    ("people", "usual", "is_unusual"),
    [
        (200, 0, False),
        (201, 0, True),
        (201, 67, False),
        (201, 66.5, True),
        (300, 100, False),
        (301, 100, True),
        (0, 50, True),
        (0, 49.5, False),
        (99_999, None, False),
        (100_000, None, False),
        (100_001, 90_000, True),
    ],
)
def test_what_is_unusual(people: int, usual: float | None, is_unusual: bool) -> None:
    assert bool(approvals.what_is_unusual(people, usual)) is is_unusual


def test_a_missed_day_is_judged_by_its_own_weeks(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    with pytest.raises(AudienceHeldError, match="280 people where 70 are usual on Tuesday, 2026-03-31"):
        welcome.play(TUESDAY, today=TUESDAY + timedelta(days=2))


def test_a_day_that_is_too_late_to_send_asks_nobody(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    counts = welcome.play(TUESDAY, today=TUESDAY + timedelta(days=4))["steps"]["hello"]
    assert counts == {"skipped: stale": 280}
    assert welcome.provider.received == []


def test_the_command_line_stops_with_one_line_and_goes_on_with_the_count(
    welcome: Welcome, run: Run, sandbox: SandboxClient
) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    words = ("run", "welcome", "--as-of", str(TUESDAY))
    assert "nobody gets it until a person approves" in run(*words).error()
    assert "280 people" in run(*words, "--approve", "hello=281").error()
    assert sandbox.messages() == []
    assert "held" in run("report", "--problems").out
    assert "hello: 280 accepted" in run(*words, "--approve", "hello=280").out
    assert "held" not in run("report", "--problems").out


@pytest.mark.parametrize(
    ("given", "line"), [("hello", "has no count"), ("hello=many", "has no count"), ("helo=4", "Did you mean 'hello'")]
)
def test_an_approval_that_names_no_step_or_count_is_refused(welcome: Welcome, run: Run, given: str, line: str) -> None:
    assert line in run("run", "welcome", "--approve", given).error()


def test_a_plan_says_who_would_wait_for_a_person_and_why(welcome: Welcome) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    planned = replay.plan(welcome.context(TUESDAY))
    asked = {(row.outcome, row.reason) for row in planned if row.step == "hello"}
    assert asked == {("held", "280 people where 70 are usual on Tuesday, 2026-03-31")}
    replayed = list(replay.with_policy(welcome.declared, TUESDAY - timedelta(days=28), TUESDAY))
    waiting = Counter(row.run_day for row in replayed if row.outcome == "held" and row.step == "hello")
    assert waiting == {TUESDAY: 4 * USUAL}
    with pytest.raises(AudienceHeldError):
        welcome.play(TUESDAY)
    welcome.play(TUESDAY, hello=4 * USUAL)
    assert {row.outcome for row in replay.plan(welcome.context(TUESDAY))} == {"accepted"}
