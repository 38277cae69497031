"""Messages under everything that can happen to them, in any order: never twice, never after a refusal, never lost (G7).

Hypothesis plays senders that die, providers that answer wrongly or late, callbacks, refusals and the kill switch against
the product's own functions and a real Postgres. The suite plays a few stories;
`LIFECYCLE_TEST_STORIES=5000 LIFECYCLE_TEST_STEPS=50` plays as many and as long ones as it is asked for.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import (
    controls,
    database,
    delivery_events,
    engagements,
    evidence,
    journeys,
    links,
    opt_outs,
    outbox,
    reports,
    runs,
    stages,
)
from lifecycle.channels import OutgoingSms, Receipt, Sought
from lifecycle.errors import LifecycleError, TryAgainError

FIRST_DAY = date(2026, 3, 1)
NAMES = ("ana", "ben", "cleo", "dora", "emil", "fay")
PEOPLE = {name: f"+3363998000{number}" for number, name in enumerate(NAMES)}
SEGMENT = "select customers.customer_id, as_of()::date::text as anchor from shop.customers as customers\n"
GOAL = """select enrollments.customer_id, enrollments.anchor, min(orders.ordered_at) as converted_at
from shop.enrollments as enrollments
inner join shop.orders as orders
    on enrollments.customer_id = orders.customer_id and orders.ordered_at >= enrollments.entered_at
where enrollments.journey = 'hello' and enrollments.exited_at is null
group by enrollments.customer_id, enrollments.anchor
order by enrollments.customer_id, enrollments.anchor
"""
# What was written to the provider's socket has arrived, or never does, by then.
LATEST_ARRIVAL_SECONDS = 45
# A sender begins nothing when its lease is nearly over (delivery.SLOWEST_ANSWER_SECONDS before its end).
LAST_START_SECONDS = 40
# How far a message may go; whatever else stays where it is.
MOVES = {
    "accepted": {"accepted"},
    "skipped": {"skipped"},
    "rejected": {"rejected"},
    "cancelled": {"cancelled"},
    "unconfirmed": {"unconfirmed", "accepted"},
}
# The clock of Postgres cannot be turned: what it noted is moved into the past instead.
AGE = """
update lifecycle.messages set
    lease_until = lease_until - make_interval(secs => %(seconds)s),
    retry_after = retry_after - make_interval(secs => %(seconds)s),
    settled_at = settled_at - make_interval(secs => %(seconds)s),
    planned_at = planned_at - make_interval(secs => %(seconds)s)
"""
AGE_ATTEMPTS = """
update lifecycle.attempts set
    started_at = started_at - make_interval(secs => %(seconds)s),
    ended_at = ended_at - make_interval(secs => %(seconds)s)
"""
EMPTY = """
delete from lifecycle.attempts; delete from lifecycle.links; delete from lifecycle.engagements;
delete from lifecycle.message_events; delete from lifecycle.conversions; delete from lifecycle.enrollments;
delete from lifecycle.audiences; delete from lifecycle.messages; delete from lifecycle.runs;
delete from lifecycle.consents; delete from lifecycle.suppressions; delete from lifecycle.send_controls;
delete from imported.orders; delete from imported.customers; update lifecycle.breakers set ambiguous_in_a_row = 0;
"""
FATES = ("taken", "refused", "asked to wait", "taken, answer lost", "lost", "late")
# Read here, because the tests' own environment starts without the variables of the product.
STORIES = int(os.environ.get("LIFECYCLE_TEST_STORIES", "12"))
STEPS = int(os.environ.get("LIFECYCLE_TEST_STEPS", "25"))
played: Counter[str] = Counter()


@dataclass
class HeldMessage:
    """A claimed message in the hands of one sender."""

    row: Any
    age: float = 0.0
    receipt: Receipt | None = None


@dataclass
class Provider:
    """What really arrived, in order; the newest `behind` of it are not listed yet, and some is still on its way."""

    accepted: list[tuple[str, str]] = field(default_factory=list)
    under_way: list[list[Any]] = field(default_factory=list)
    behind: int = 0
    # Which fate each message has next; none means that all is well.
    mood: int | None = None

    def send(self, message: OutgoingSms) -> Receipt:
        of_message = int(message.message_id[:6], 16)
        fate = "taken" if self.mood is None else FATES[(self.mood + of_message) % len(FATES)]
        return self.treat(message.message_id, message.to, fate)

    def treat(self, message_id: str, address: str, fate: str, age: float = 0.0) -> Receipt:
        """What becomes of a message, and what its sender hears."""
        played[fate] += 1
        if fate.startswith("taken"):
            self.accepted.append((message_id, address))
        if fate == "late":
            self.under_way.append([message_id, address, age])
        return {
            "taken": Receipt("accepted", provider_id=f"SM-{message_id}", http_status=201),
            "refused": Receipt("rejected", http_status=400, provider_code="30003"),
            "asked to wait": Receipt("retry", http_status=429, retry_after_seconds=5),
        }.get(fate, Receipt("uncertain", detail="no answer"))

    def find(self, sought: list[Sought]) -> dict[str, str]:
        return {
            one.message_id: next(
                (
                    provider_id
                    for provider_id, code in self.listed(one.address).items()
                    if provider_id == one.provider_id or code in one.codes
                ),
                "",
            )
            for one in sought
        }

    def listed(self, address: str) -> dict[str, str]:
        visible = self.accepted[: len(self.accepted) - self.behind]
        return {f"SM-{sent}": links.code(sent, "shop") for sent, to in visible if to == address}

    def age(self, seconds: float) -> None:
        """Let what is under way arrive when its time is over."""
        for one in self.under_way:
            one[2] += seconds
        for one in [one for one in self.under_way if one[2] > LATEST_ARRIVAL_SECONDS]:
            self.arrive(self.under_way.index(one))

    def arrive(self, number: int) -> None:
        message_id, address, _ = self.under_way.pop(number)
        self.accepted.append((message_id, address))


class MessageStates(RuleBasedStateMachine):
    """One journey of one SMS a day to six people; not everybody does everything, so that stories go on for long.

    What the database holds decides what a step does and never which step comes: ids are random, and Hypothesis ends a
    long search when the same choices do not lead to the same questions.
    """

    shop: Shop

    def __init__(self) -> None:
        super().__init__()
        self.shop.connection.execute(EMPTY.encode())
        for name, phone in PEOPLE.items():
            self.shop.customer(name, phone=phone)
        declared = journeys.load("hello")
        self.journey, self.zone = declared.journey, declared.zone
        self.step = self.journey.steps[0]
        self.day = FIRST_DAY
        self.context = runs.for_day(self.journey, self.day, self.zone)
        self.provider = Provider()
        self.held: list[HeldMessage] = []
        self.stopped: set[str] = set()
        self.unsubscribed: set[str] = set()
        self.erased: set[str] = set()
        self.bought: set[str] = set()
        self.converted: set[str] = set()
        self.states: dict[str, str] = {}
        self.texts = 0
        self.is_paused = False
        self.plan()
        played["stories"] += 1

    # --- planning and days ---

    @rule()
    def plan(self) -> None:
        """Plan the day, once more or for the first time."""
        found = stages.record_conversions(self.context)
        stages.select_audience(self.context, self.step)
        stages.queue_messages(self.context, self.step, found["customer_ids"])

    @precondition(lambda self: self.day < FIRST_DAY + timedelta(days=12))
    @rule()
    def a_new_day_begins(self) -> None:
        """What was bought before counts from now on."""
        self.day += timedelta(days=1)
        self.context = runs.for_day(self.journey, self.day, self.zone)
        entered = self._rows("select customer_id, message_id::text from lifecycle.messages")
        self.plan()
        self.converted |= {message_id for customer, message_id in entered if customer in self.bought}
        self.bought.clear()

    @rule(name=st.sampled_from(NAMES[:2]))
    def buys(self, name: str) -> None:
        """An order, known from the next day on."""
        self.shop.order(name, datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=timezone.utc))
        self.bought.add(name)

    @precondition(lambda self: not self.erased and self.day > FIRST_DAY + timedelta(days=2))
    @rule()
    def is_erased(self) -> None:
        """The shop forgets a customer."""
        name = NAMES[-1]
        self.shop.connection.execute("delete from imported.orders where customer_id = %s", (name,))
        self.shop.connection.execute("delete from imported.customers where customer_id = %s", (name,))
        self.erased.add(name)

    # --- senders ---

    @rule(chunk=st.integers(1, 3))
    def claim(self, chunk: int) -> None:
        """A sender takes messages; links are stored before a byte leaves, as delivery does."""
        with database.transaction() as connection:
            database.set_as_of(connection, self.context.as_of, self.zone)
            taken = outbox.claim(connection, self.context, self.step, shard=0, shards=1, chunk=chunk)
        sending = [row for row in taken if row.send_state == "sending"]
        with database.transaction() as connection:
            used = [
                links.UsedLink(str(row.message_id), "hello", name, links.code(str(row.message_id), name))
                for row in sending
                for name in ("shop", links.UNSUBSCRIBE)
            ]
            links.keep(connection, used)
        assert not (self.is_paused and taken)
        for row in sending:
            assert row.customer_id not in self.stopped | self.unsubscribed | self.erased
            assert str(row.message_id) not in self.converted
            self.held.append(HeldMessage(row))

    @rule(fate=st.sampled_from(FATES), which=st.integers(0, 9))
    def hand_over(self, fate: str, which: int) -> None:
        """Bytes leave, and something comes back or not."""
        ready = [held for held in self.held if held.receipt is None and held.age < LAST_START_SECONDS]
        if not ready:
            return
        held = ready[which % len(ready)]
        held.receipt = self.provider.treat(str(held.row.message_id), held.row.address, fate, held.age)

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=3))
    def claim_and_hand_over(self, fates: list[str]) -> None:
        """A sender that is not disturbed before its answers are there."""
        self.claim(len(fates))
        for fate in fates:
            self.hand_over(fate, 9)

    @rule()
    def answers_are_recorded(self) -> None:
        """A sender writes down what came back, however late."""
        done = [held for held in self.held if held.receipt]
        self.held = [held for held in self.held if not held.receipt]
        answers = [outbox.answered(held.row, held.receipt) for held in done if held.receipt]
        with database.transaction() as connection:
            outbox.settle(connection, answers, provider="twilio", started_at=_database_time(connection))

    @rule()
    def the_senders_die(self) -> None:
        """Whatever they held and had not written down is forgotten."""
        played["deaths"] += bool(self.held)
        self.held.clear()

    @rule(mood=st.integers(0, len(FATES) - 1))
    def sends(self, mood: int | None) -> None:
        """A whole send task."""
        self.provider.behind, self.provider.mood = 0, mood
        try:
            stages.send(self.context, self.step, self.provider)
        except TryAgainError:
            played["still waiting"] += 1
        except LifecycleError:
            played["paused by the breaker"] += 1

    # --- time and evidence ---

    @rule(seconds=st.sampled_from([5.0, 30.0, 61.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        """Leases end, and what is under way arrives."""
        self._age(seconds)
        with database.transaction() as connection:
            outbox.expire_leases(connection)

    @rule()
    def three_days_pass(self) -> None:
        """Evidence is given up."""
        self._age(73 * 3600.0)

    @rule()
    def a_late_request_arrives(self) -> None:
        """Bytes that were under way reach the provider."""
        if self.provider.under_way:
            self.provider.arrive(0)

    @rule(behind=st.integers(0, 3))
    def evidence_is_looked_up(self, behind: int) -> None:
        """The register is asked; it may be behind."""
        self.provider.behind = min(behind, len(self.provider.accepted))
        for state, count in evidence.settle_uncertain(self.context, self.step, self.provider).items():
            played[f"settled as {state}"] += count

    @rule(which=st.integers(0, 9), status=st.sampled_from(["sent", "delivered", "undelivered"]))
    def the_provider_calls_back(self, which: int, status: str) -> None:
        """A signed word about a message that arrived."""
        if not self.provider.accepted:
            return
        message_id, _ = self.provider.accepted[which % len(self.provider.accepted)]
        event = delivery_events.from_twilio({"MessageSid": f"SM-{message_id}", "MessageStatus": status}, message_id)
        assert event
        with delivery_events.transaction() as connection:
            played["settled by a callback"] += delivery_events.receive(connection, "twilio", [event]).settled

    # --- refusals and the kill switch ---

    @rule(name=st.sampled_from(NAMES[2:4]), word=st.sampled_from(["STOP", "START", "thanks"]))
    def texts_back(self, name: str, word: str) -> None:
        """A text from a person."""
        self.texts += 1
        fields = {"MessageSid": f"IN{self.texts}", "From": PEOPLE[name], "Body": word}
        with delivery_events.transaction() as connection:
            taken_as = opt_outs.receive_sms(connection, fields)
        if taken_as == "stop":
            self.stopped.add(name)
        elif taken_as == "start":
            self.stopped.discard(name)

    @rule(which=st.integers(0, 9))
    def unsubscribes(self, which: int) -> None:
        """One click on the way out of a message."""
        found = self._rows("select code from lifecycle.links where name = 'unsubscribe' order by 1")
        if not found or len(self.unsubscribed) > 1:
            return
        code = found[which % len(found)][0]
        with delivery_events.transaction() as connection:
            link = engagements.find_link(connection, code)
            assert link
            engagements.unsubscribe(connection, link, "one_click")
        self.unsubscribed.add(link.customer_id)

    @rule(is_paused=st.sampled_from([False, False, True]))
    def the_switch_is_turned(self, is_paused: bool) -> None:
        """Everything is paused, or goes on."""
        if is_paused is self.is_paused:
            return
        controls.set_state("all", "paused" if is_paused else "open", "a wrong price")
        self.is_paused = is_paused

    # --- what always holds ---

    @invariant()
    def nobody_gets_a_message_twice(self) -> None:
        played["steps"] += 1
        copies = Counter(message_id for message_id, _ in self.provider.accepted)
        assert not copies or max(copies.values()) == 1, copies

    @invariant()
    def what_was_decided_stays_decided(self) -> None:
        now = dict(self._rows("select message_id::text, send_state from lifecycle.messages"))
        for message_id, state in self.states.items():
            assert now[message_id] in MOVES.get(state, set(now.values())), (state, now[message_id])
        self.states = now

    def teardown(self) -> None:
        """In the end everything is known, and the numbers add up."""
        self.held.clear()
        # Opens what the breaker paused, too.
        controls.set_state("all", "open", "")
        rounds = 0
        while rounds < 2 or self._is_anything_open():
            rounds += 1
            assert rounds < 9, "something never ends"
            if rounds == 4:
                self.three_days_pass()
            self.time_passes(130.0)
            self.evidence_is_looked_up(0)
            self.sends(None)
        self.nobody_gets_a_message_twice()
        self.what_was_decided_stays_decided()
        arrived = {message_id for message_id, _ in self.provider.accepted}
        for message_id, customer, state in self._rows(
            "select message_id::text, customer_id, send_state from lifecycle.messages"
        ):
            assert state in ("accepted", "rejected", "skipped", "unconfirmed"), state
            if state == "accepted":
                assert message_id in arrived
            if message_id in arrived:
                # Unconfirmed where the register was behind for three days, or the address is gone.
                assert state in ("accepted", "unconfirmed"), (customer, state)
        self._numbers_add_up()

    def _is_anything_open(self) -> bool:
        ended = "('accepted', 'rejected', 'skipped', 'unconfirmed')"
        return bool(self._rows(f"select 1 from lifecycle.messages where send_state not in {ended}"))

    def _numbers_add_up(self) -> None:
        days = reports.per_day("hello", FIRST_DAY, self.day)
        for day in days:
            assert day.due == day.sent + day.skipped.total() + day.waiting + day.failed + day.unknown
            assert day.waiting == 0
        # A day that is planned again counts those whom the shop still knows.
        assert self.erased or sum(day.due for day in days) == len(self.states)

    def _age(self, seconds: float) -> None:
        self.provider.age(seconds)
        for held in self.held:
            held.age += seconds
        for statement in (AGE, AGE_ATTEMPTS):
            self.shop.connection.execute(statement.encode(), {"seconds": seconds})

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.shop.connection.execute(query.encode()).fetchall()


def _database_time(connection: Any) -> datetime:
    ((moment,),) = database.driver(connection).execute("select now()").fetchall()
    return moment


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Shop:
    """The journey `hello` with its goal, and nobody in the shop."""
    # No story is about a power cut, and waiting for the disk is most of the time.
    database_name = shop.connection.info.dbname
    shop.connection.execute(f"alter database {database_name} set synchronous_commit = off".encode())
    shop.connection.execute("set synchronous_commit = off")
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_SMS_CAP", "100/30")
    project = ProjectBuilder(tmp_path)
    project.sms_journey(sms='Hi {{ link("shop") }} {{ unsubscribe_url }}', more=', goal=Goal("bought.sql")')
    project.segment("hello", "all", SEGMENT)
    project.segment("hello", "bought", GOAL)
    return shop


def test_g7_no_story_sends_twice_or_after_a_refusal(hello: Shop) -> None:
    class Stories(MessageStates):
        shop = hello

    played.clear()
    effort = settings(
        max_examples=STORIES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        # A story that fails is short enough to be read as it is; making it shorter takes a hundred times as long.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Stories, settings=effort)
    sys.stdout.write(f"\nmessage states: {dict(sorted(played.items()))}\n")
    assert played["stories"] >= STORIES
