"""Sending: claimed before a byte leaves, answered once, never twice, and every rule asked again at the last moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg
import pytest
from tests.conftest import plain
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import controls, database, delivery, journeys, outbox, reports, runs, senders, stages
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.twilio_sms import TwilioSms
from lifecycle.errors import LifecycleError, TryAgainError
from lifecycle.runs import RunContext

DAY = date(2026, 3, 31)
SEGMENT = """select customers.customer_id, 'signup' as anchor, customers.city as city
from shop.customers as customers
"""
ACCEPTED = Receipt("accepted", provider_id="SM1", http_status=201)


class ScriptedProvider:
    """A provider that answers as a test says, and remembers what reached it."""

    def __init__(self, answer: Receipt | Callable[[OutgoingSms], Receipt] = ACCEPTED) -> None:
        self.answer = answer
        self.received: list[OutgoingSms] = []

    def send(self, message: OutgoingSms) -> Receipt:
        self.received.append(message)
        return self.answer(message) if callable(self.answer) else self.answer

    def addresses(self) -> list[str]:
        return sorted(message.to for message in self.received)


class Desk:
    """One journey of one SMS with a voucher, planned for one day, and a look into the database."""

    def __init__(self, project: ProjectBuilder, shop: Shop) -> None:
        self.project = project
        self.shop = shop
        declared = journeys.load("hello")
        self.journey, self.zone = declared.journey, declared.zone
        self.step = self.journey.steps[0]
        self.context = self.day(DAY)

    def day(self, day: date) -> RunContext:
        return runs.for_day(self.journey, day, self.zone)

    def plan(self, context: RunContext | None = None) -> dict[str, int]:
        context = context or self.context
        stages.record_conversions(context)
        stages.select_audience(context, self.step)
        return stages.queue_messages(context, self.step, [])

    def send(self, provider: Any, context: RunContext | None = None, **shard: int) -> dict[str, int]:
        return stages.send(context or self.context, self.step, provider, **shard)

    def claim(self) -> list[Any]:
        with database.transaction() as connection:
            database.set_as_of(connection, self.context.as_of, self.zone)
            return outbox.claim(connection, self.context, self.step, shard=0, shards=1, chunk=50)

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return self.shop.connection.execute(query.encode()).fetchall()

    def states(self) -> dict[str, tuple[str, str | None]]:
        found = self.all("select customer_id, send_state, reason from lifecycle.messages")
        return {customer: (state, reason) for customer, state, reason in found}

    def execute(self, query: str) -> None:
        self.shop.connection.execute(query.encode())

    def let_time_pass(self, minutes: int) -> None:
        """What is uncertain happened so much longer ago."""
        self.execute(
            f"update lifecycle.attempts set ended_at = ended_at - interval '{minutes} minutes', "
            f"started_at = started_at - interval '{minutes} minutes' where outcome in ('uncertain', 'lost')"
        )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Desk:
    """The journey `hello` and three customers: ana, ben and cleo."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey(
        sms='{{ customer.first_name or "you" }} {{ voucher.code }} {{ link("shop") }} {{ unsubscribe_url }}',
        step=", voucher=Voucher(percent_off=10, valid_days=7)",
    )
    project.segment("hello", "all", SEGMENT)
    for number, name in enumerate(("ana", "ben", "cleo"), start=1):
        shop.customer(name, first_name=name.title(), phone=f"+3363998000{number}")
    return Desk(project, shop)


def test_a_claim_is_committed_before_the_first_byte_leaves(desk: Desk) -> None:
    seen: list[Any] = []

    def look(message: OutgoingSms) -> Receipt:
        with psycopg.connect(plain(database.url())) as other:
            seen.extend(
                other.execute(
                    "select send_state, attempt_id, lease_until > now() from lifecycle.messages where message_id = %s",
                    (message.message_id,),
                ).fetchall()
            )
            seen.extend(
                other.execute(
                    "select count(*) from lifecycle.links where message_id = %s", (message.message_id,)
                ).fetchall()
            )
        return ACCEPTED

    desk.plan()
    assert desk.send(ScriptedProvider(look)) == {"accepted": 3}
    states = [row for row in seen if len(row) == 3]
    assert {(state, attempt is not None, leased) for state, attempt, leased in states} == {("sending", True, True)}
    # The links a message holds work from the moment it can arrive.
    assert {row for row in seen if len(row) == 1} == {(2,)}


def test_an_sms_takes_its_media_along_and_ends_before_the_night(desk: Desk, sandbox: SandboxClient) -> None:
    desk.project.sms_journey(sms="Hello", media='"https://shop.example/a.jpg"')
    desk.journey = journeys.load("hello").journey
    desk.step, desk.context = desk.journey.steps[0], desk.day(DAY)
    desk.plan()
    assert desk.send(senders.sandbox_channel(desk.step)) == {"accepted": 3}
    requests = [parse_qs(message["request"]) for message in sandbox.messages()]
    assert [request["MediaUrl"] for request in requests] == [["https://shop.example/a.jpg"]] * 3
    assert [request["ValidityPeriod"] for request in requests] == [[str(4 * 3600)]] * 3


def test_a_second_sender_gets_nothing_while_the_first_one_sends(desk: Desk) -> None:
    desk.plan()
    second = ScriptedProvider()
    counts: list[Any] = []

    def meanwhile(_: OutgoingSms) -> Receipt:
        counts.append(desk.send(second))
        return ACCEPTED

    assert desk.send(ScriptedProvider(meanwhile)) == {"accepted": 3}
    assert counts == [{}, {}, {}]
    assert second.received == []


def test_several_senders_at_once_send_everybody_once(desk: Desk) -> None:
    for number in range(40):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    provider = ScriptedProvider()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: desk.send(provider), range(4)))
    assert len(provider.received) == 43
    assert len(set(provider.addresses())) == 43


def test_the_shards_of_a_step_share_its_queue(desk: Desk) -> None:
    for number in range(20):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    providers = [ScriptedProvider() for _ in range(3)]
    for number, provider in enumerate(providers):
        desk.send(provider, shard=number, shards=3)
    assert sum(len(provider.received) for provider in providers) == 23
    assert all(provider.received for provider in providers)


def test_whoever_was_being_sent_to_when_a_sender_died_is_never_sent_to_again(desk: Desk) -> None:
    desk.plan()
    assert len(desk.claim()) == 3
    desk.execute("update lifecycle.messages set lease_until = now() - interval '1 second'")
    provider = ScriptedProvider()
    for _ in range(2):
        assert desk.send(provider) == {}
        desk.plan()
    assert provider.received == []
    assert set(desk.states().values()) == {("uncertain", None)}
    assert desk.all("select outcome, count(*) from lifecycle.attempts group by 1") == [("lost", 3)]


def test_a_lease_that_still_runs_is_left_alone(desk: Desk) -> None:
    desk.plan()
    desk.claim()
    assert desk.send(ScriptedProvider()) == {}
    assert set(desk.states().values()) == {("sending", None)}


def test_the_late_answer_of_an_old_attempt_is_dropped(desk: Desk) -> None:
    desk.plan()
    (first, *_) = desk.claim()
    desk.execute("update lifecycle.messages set attempt_id = gen_random_uuid()")
    started_at = datetime.now(timezone.utc)
    with database.transaction() as connection:
        answers = [outbox.answered(first, ACCEPTED)]
        assert not outbox.settle(connection, answers, provider="twilio", started_at=started_at)
    assert set(desk.states().values()) == {("sending", None)}
    assert desk.all("select count(*) from lifecycle.attempts") == [(0,)]


def test_an_answer_after_the_lease_was_given_up_changes_nothing(desk: Desk) -> None:
    def slowly(_: OutgoingSms) -> Receipt:
        desk.execute("update lifecycle.messages set send_state = 'uncertain', lease_until = null")
        return ACCEPTED

    desk.plan()
    assert desk.send(ScriptedProvider(slowly)) == {"decided elsewhere": 3}


FORBIDDEN = {
    "suppressed": "insert into lifecycle.suppressions (channel, address_hash, reason, source) "
    "values ('sms', lifecycle.address_hash('+33639980002'), 'sunset', 'other')",
    "no_consent": "insert into lifecycle.consents (customer_id, channel, is_granted, source) "
    "values ('ben', 'sms', false, 'phone')",
    "converted": "update lifecycle.enrollments set exited_at = now(), exit_reason = 'converted' "
    "where customer_id = 'ben'",
    "invalid_address": "update imported.customers set phone = null where customer_id = 'ben'",
}


@pytest.mark.parametrize(("reason", "change"), FORBIDDEN.items(), ids=FORBIDDEN)
def test_what_happens_between_plan_and_send_is_respected(desk: Desk, reason: str, change: str) -> None:
    assert desk.plan() == {"queued": 3}
    desk.execute(change)
    provider = ScriptedProvider()
    assert desk.send(provider) == {f"skipped: {reason}": 1, "accepted": 2}
    assert provider.addresses() == ["+33639980001", "+33639980003"]
    assert desk.states()["ben"] == ("skipped", reason)


def test_whoever_was_erased_between_plan_and_send_harms_nobody(desk: Desk) -> None:
    desk.plan()
    desk.execute("delete from imported.customers where customer_id = 'ben'")
    assert desk.send(ScriptedProvider()) == {"skipped: invalid_address": 1, "accepted": 2}


def test_a_refusal_suppresses_the_number_that_got_the_message(desk: Desk) -> None:
    desk.plan()
    desk.execute("update imported.customers set phone = '+33639980099' where customer_id = 'ben'")
    provider = ScriptedProvider()
    desk.send(provider)
    assert "+33639980099" in provider.addresses()
    with database.transaction() as connection:
        database.run(
            connection,
            "engine/suppressions/unsubscribe.sql",
            message_id=desk.all("select message_id from lifecycle.messages where customer_id = 'ben'")[0][0],
            source="page",
        )
    assert desk.all("select address_hash = lifecycle.address_hash('+33639980099') from lifecycle.suppressions") == [
        (True,)
    ]


@pytest.mark.parametrize("scope", ["all", "sms", "hello"])
def test_the_kill_switch_stops_sending_and_resume_continues(desk: Desk, scope: str) -> None:
    desk.plan()
    provider = ScriptedProvider()
    controls.set_state(scope, "paused", "a wrong price")
    assert controls.paused() == [scope]
    assert desk.send(provider) == {}
    assert provider.received == []
    assert set(desk.states().values()) == {("queued", None)}
    controls.set_state(scope, "open", "")
    assert controls.paused() == []
    assert desk.send(provider) == {"accepted": 3}


def test_the_kill_switch_of_another_channel_changes_nothing(desk: Desk) -> None:
    desk.plan()
    controls.set_state("email", "paused", "")
    assert desk.send(ScriptedProvider()) == {"accepted": 3}


def test_a_scope_that_does_not_exist_is_refused(desk: Desk) -> None:
    with pytest.raises(LifecycleError, match=r"There is no scope 'helo'\. Did you mean 'hello'"):
        controls.set_state("helo", "paused", "")


def test_the_kill_switch_stops_a_run_in_the_middle(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 1)

    def pause(_: OutgoingSms) -> Receipt:
        controls.set_state("all", "paused", "")
        return ACCEPTED

    desk.plan()
    assert desk.send(ScriptedProvider(pause)) == {"accepted": 1}
    assert sorted(state for state, _ in desk.states().values()) == ["accepted", "queued", "queued"]


def test_whom_the_provider_asked_to_wait_for_is_sent_to_later_and_once(desk: Desk) -> None:
    desk.plan()
    busy = ScriptedProvider(Receipt("retry", http_status=429, retry_after_seconds=600))
    with pytest.raises(TryAgainError, match=r"3 messages of hello/greet still wait: twilio did not take them"):
        desk.send(busy)
    assert set(desk.states().values()) == {("queued", None)}
    waits = desk.all("select retry_after - now() > interval '590 seconds' from lifecycle.messages")
    assert waits == [(True,)] * 3
    # Too early: nothing is sent, and the task says that it is not done.
    provider = ScriptedProvider()
    with pytest.raises(TryAgainError, match="3 messages"):
        desk.send(provider)
    assert provider.received == []
    desk.execute("update lifecycle.messages set retry_after = now()")
    assert desk.send(provider) == {"accepted": 3}
    assert len(provider.received) == 3
    assert desk.send(provider) == {}


def test_messages_that_were_asked_to_wait_do_not_fail_a_paused_journey(desk: Desk) -> None:
    desk.plan()
    desk.execute("update lifecycle.messages set retry_after = now() + interval '1 hour'")
    controls.set_state("sms", "paused", "")
    assert desk.send(ScriptedProvider()) == {}


def test_a_provider_that_is_not_there_costs_nobody_a_message(
    desk: Desk, sandbox: SandboxClient, unused_port: int
) -> None:
    desk.plan()
    nobody_there = TwilioSms(sandbox_accounts(f"http://127.0.0.1:{unused_port}").twilio)
    with pytest.raises(TryAgainError):
        desk.send(nobody_there)
    assert desk.send(senders.sandbox_channel(desk.step)) == {"accepted": 3}
    assert len(sandbox.messages()) == 3
    assert desk.all("select outcome, count(*) from lifecycle.attempts group by 1 order by 1") == [
        ("accepted", 3),
        ("retry", 3),
    ]


@pytest.fixture
def unused_port() -> int:
    """A port nobody listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_an_answer_nobody_understands_is_never_followed_by_a_second_message(desk: Desk) -> None:
    desk.plan()
    assert desk.send(ScriptedProvider(Receipt("uncertain", detail="no answer"))) == {"uncertain": 3}
    provider = ScriptedProvider()
    desk.plan()
    desk.send(provider)
    desk.plan(desk.day(DAY + timedelta(days=1)))
    desk.send(provider, desk.day(DAY + timedelta(days=1)))
    assert provider.received == []


def test_a_refusal_of_the_provider_is_kept_with_its_code(desk: Desk) -> None:
    desk.plan()
    refused = ScriptedProvider(Receipt("rejected", http_status=400, provider_code="21610", detail="opted out"))
    assert desk.send(refused) == {"rejected": 3}
    assert set(desk.states().values()) == {("rejected", "21610")}


def test_a_template_that_fails_for_one_person_harms_nobody_else(desk: Desk) -> None:
    desk.execute("update imported.customers set city = 'Lyon' where customer_id <> 'ben'")
    desk.project.template("hello", "greet.sms.j2", "Hello {{ city }} {{ unsubscribe_url }}")
    desk.plan()
    assert desk.send(ScriptedProvider()) == {"skipped: template_error": 1, "accepted": 2}
    assert desk.states()["ben"] == ("skipped", "template_error")
    (detail,) = desk.all("select detail from lifecycle.attempts where outcome = 'skipped'")
    assert "city is empty" in detail[0]


def test_a_template_that_was_broken_since_the_check_claims_nobody(desk: Desk) -> None:
    desk.plan()
    good = (desk.project.folder / "include/templates/hello/greet.sms.j2").read_text()
    desk.project.template("hello", "greet.sms.j2", "{% if %}")
    with pytest.raises(LifecycleError, match=r"greet\.sms\.j2:1: Template:"):
        desk.send(ScriptedProvider())
    assert set(desk.states().values()) == {("queued", None)}
    desk.project.template("hello", "greet.sms.j2", good)
    assert desk.send(ScriptedProvider()) == {"accepted": 3}


def test_a_voucher_stays_the_same_over_every_try(desk: Desk) -> None:
    desk.plan()
    first, second = ScriptedProvider(Receipt("retry", http_status=429)), ScriptedProvider()
    with pytest.raises(TryAgainError):
        desk.send(first)
    desk.send(second)
    texts = [sorted(message.body for message in provider.received) for provider in (first, second)]
    assert texts[0]
    assert set(texts[0]) <= set(texts[1])
    codes = desk.all("select code from lifecycle.vouchers")
    assert len(set(codes)) == 3
    assert all(any(code in text for text in texts[1]) for (code,) in codes)


def test_two_people_with_one_number_get_one_message(desk: Desk) -> None:
    desk.shop.customer("dana", phone="+33639980002")
    assert desk.plan() == {"queued": 3, "skipped: duplicate_address": 1}
    assert desk.states()["dana"] == ("skipped", "duplicate_address")


def test_somebody_who_may_not_be_messaged_takes_nobodys_place(desk: Desk) -> None:
    desk.shop.customer("aaa", phone="+33639980002", sms_consent=False)
    assert desk.plan() == {"queued": 3, "skipped: no_consent": 1}


def test_planning_again_adds_nothing(desk: Desk) -> None:
    assert desk.plan() == {"queued": 3}
    desk.send(ScriptedProvider())
    assert desk.plan() == {"accepted": 3}
    # Another day finds the same anchors: what is decided stays decided.
    assert desk.plan(desk.day(DAY + timedelta(days=1))) == {"already_decided": 3}
    assert desk.all("select count(*) from lifecycle.messages") == [(3,)]


def test_a_run_of_an_earlier_day_leaves_the_queue_of_later_days_alone(desk: Desk) -> None:
    desk.shop.customer("newcomer", phone="+33639980077", signed_up_at=datetime(2026, 3, 20, tzinfo=timezone.utc))
    desk.plan()
    provider = ScriptedProvider()
    assert desk.send(provider, desk.day(date(2026, 3, 1))) == {}
    assert desk.send(provider) == {"accepted": 4}


def test_whoever_is_held_out_stays_held_out(desk: Desk) -> None:
    for number in range(60):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.project.sms_journey(sms="Hello", more=", holdout_percent=50")
    desk.journey = journeys.load("hello").journey
    desk.step, desk.context = desk.journey.steps[0], desk.day(DAY)
    counts = desk.plan()
    assert 15 <= counts["skipped: holdout"] <= 48
    assert counts["skipped: holdout"] + counts["queued"] == 63
    assert desk.plan() == counts


def in_parallel(work: Callable[[], Any], times: int) -> list[Any]:
    """Do something several times at the very same moment."""
    start = threading.Barrier(times)

    def begin(_: int) -> Any:
        start.wait()
        return work()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(begin, range(times)))


def test_planners_at_the_same_time_plan_everybody_once(desk: Desk) -> None:
    for number in range(200):
        desk.shop.customer(f"more-{number}", phone=f"+33639991{number:03d}")
    found = in_parallel(desk.plan, 3)
    assert found == [{"queued": 203}] * 3
    assert desk.all("select count(*), count(distinct dedupe_key) from lifecycle.messages") == [(203, 203)]


def test_whole_runs_at_the_same_time_send_everybody_once(desk: Desk) -> None:
    provider = ScriptedProvider()
    in_parallel(lambda: stages.run_all(desk.context, lambda _: provider), 3)
    assert provider.addresses() == ["+33639980001", "+33639980002", "+33639980003"]


def test_the_numbers_of_a_day_add_up(desk: Desk) -> None:
    answers = iter([ACCEPTED, Receipt("rejected", provider_code="21610"), Receipt("uncertain"), ACCEPTED])
    desk.shop.customer("dana", phone="+33639980004")
    desk.shop.customer("emil", phone="+33639980005", sms_consent=False)
    desk.shop.customer("fay", phone="+33639980001")
    desk.plan()
    lock = threading.Lock()

    def next_answer(_: OutgoingSms) -> Receipt:
        with lock:
            return next(answers)

    desk.send(ScriptedProvider(next_answer))
    desk.shop.customer("gus", phone="+33639980006")
    tomorrow = DAY + timedelta(days=1)
    desk.plan(desk.day(tomorrow))
    first, second = reports.per_day("hello", DAY, tomorrow)
    assert (first.due, first.sent, first.failed, first.unknown, first.waiting) == (6, 2, 1, 1, 0)
    assert first.skipped == {"no_consent": 1, "duplicate_address": 1}
    # Whom an earlier day decided about is not due a second time.
    assert (second.due, second.waiting) == (1, 1)
    for day in (first, second):
        assert day.due == day.sent + day.skipped.total() + day.waiting + day.failed + day.unknown


def test_one_poisoned_number_among_many_harms_nobody_else(desk: Desk, sandbox: SandboxClient) -> None:
    desk.shop.customer("poisoned", phone="+15005550001")
    for number in range(60):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    desk.plan()
    assert desk.send(senders.sandbox_channel(desk.step)) == {"accepted": 63, "rejected": 1}
    assert desk.states()["poisoned"] == ("rejected", "21211")
    received = [message["to_address"] for message in sandbox.messages()]
    assert len(received) == len(set(received)) == 63
