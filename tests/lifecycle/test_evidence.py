"""Uncertain messages: accepted when the provider shows them, sent again only when their absence is proven."""

from __future__ import annotations

import pytest
from tests.lifecycle.test_delivery import ACCEPTED, Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk

from lifecycle import database, deferred, evidence, links, outbox
from lifecycle.channels import OutgoingSms, Receipt, Sought
from lifecycle.errors import TryAgainError

UNCERTAIN = Receipt("uncertain", detail="no answer")


class ProviderWithRegister(ScriptedProvider):
    """A provider that can be asked what it accepted; `behind` of its newest messages are not listed yet."""

    def __init__(self) -> None:
        super().__init__(self.take)
        self.accepted: list[OutgoingSms] = []
        self.swallows: set[str] = set()
        self.accepts_silently: set[str] = set()
        self.behind = 0
        self.is_away = False

    def take(self, message: OutgoingSms) -> Receipt:
        if message.to in self.swallows:
            return UNCERTAIN
        self.accepted.append(message)
        if message.to in self.accepts_silently:
            return UNCERTAIN
        return Receipt("accepted", provider_id=f"SM-{message.message_id}", http_status=201)

    def find(self, sought: list[Sought]) -> dict[str, str]:
        if self.is_away:
            raise TryAgainError("away")
        visible = {message.message_id: message for message in self.accepted[: len(self.accepted) - self.behind]}
        return {one.message_id: self.id_of(one, visible.get(one.message_id)) for one in sought}

    @staticmethod
    def id_of(sought: Sought, message: OutgoingSms | None) -> str:
        if message is None or message.to != sought.address:
            return ""
        assert sought.provider_id or all(code in message.body for code in sought.codes)
        return f"SM-{message.message_id}"

    def copies(self, address: str) -> int:
        return sum(message.to == address for message in self.accepted)


ANA, BEN, CLEO = "+33639980001", "+33639980002", "+33639980003"


@pytest.fixture
def provider() -> ProviderWithRegister:
    return ProviderWithRegister()


def test_a_message_that_the_provider_shows_was_accepted(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.accepts_silently = {BEN}
    desk.send(provider)
    assert desk.states()["ben"] == ("uncertain", None)
    desk.send(provider)
    assert desk.states()["ben"] == ("accepted", None)
    assert provider.copies(BEN) == 1


def test_a_message_that_is_proven_absent_is_sent_again_once(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.swallows = {BEN}
    desk.send(provider)
    desk.let_time_pass(5)
    provider.swallows = set()
    desk.send(provider)
    assert desk.states()["ben"] == ("accepted", None)
    assert provider.copies(BEN) == 1


def test_what_is_proven_absent_by_a_run_of_another_day_leaves_with_the_next_look_for_deferred_messages(
    desk: Desk, provider: ProviderWithRegister
) -> None:
    desk.plan()
    provider.swallows = {BEN}
    desk.send(provider)
    desk.let_time_pass(5)
    assert evidence.settle_uncertain(desk.context, desk.step, provider) == {"queued": 1}
    provider.swallows = set()
    assert deferred.send(lambda _: provider) == {f"{desk.context.journey.name}/{desk.step.name}": {"accepted": 1}}
    assert provider.copies(BEN) == 1


def test_a_register_that_lags_behind_delays_and_never_doubles(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.accepts_silently = {BEN}
    desk.send(provider)
    desk.let_time_pass(5)
    provider.behind = len(provider.accepted)
    for _ in range(3):
        desk.send(provider)
    assert desk.states()["ben"] == ("uncertain", None)
    provider.behind = 0
    desk.send(provider)
    assert desk.states()["ben"] == ("accepted", None)
    assert provider.copies(BEN) == 1


def test_without_a_later_witness_nothing_is_proven(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.swallows = {ANA, BEN, CLEO}
    desk.send(provider)
    desk.let_time_pass(5)
    provider.swallows = set()
    desk.send(provider)
    assert {state for state, _ in desk.states().values()} == {"uncertain"}
    assert provider.accepted == []


def test_a_young_uncertain_message_waits_for_its_late_answer(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.swallows = {BEN}
    desk.send(provider)
    provider.swallows = set()
    desk.send(provider)
    assert desk.states()["ben"] == ("uncertain", None)


def test_a_sender_that_died_before_its_first_byte_loses_nobody(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    desk.claim()
    desk.execute("update lifecycle.messages set lease_until = now() - interval '1 second'")
    assert desk.send(provider) == {}
    desk.let_time_pass(5)
    desk.send(provider)
    assert {state for state, _ in desk.states().values()} == {"accepted"}
    assert [provider.copies(address) for address in (ANA, BEN, CLEO)] == [1, 1, 1]


def test_what_no_evidence_settles_in_three_days_is_listed_as_unconfirmed(
    desk: Desk, provider: ProviderWithRegister
) -> None:
    desk.plan()
    provider.swallows = {ANA, BEN, CLEO}
    desk.send(provider)
    desk.let_time_pass(evidence.GIVE_UP_AFTER_HOURS * 60 + 1)
    desk.send(provider)
    assert set(desk.states().values()) == {("unconfirmed", "no evidence")}


def test_a_provider_that_does_not_answer_changes_nothing(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.swallows = {BEN}
    desk.send(provider)
    provider.is_away = True
    with pytest.raises(TryAgainError):
        desk.send(provider)
    assert desk.states()["ben"] == ("uncertain", None)


def test_a_decision_made_meanwhile_wins_over_the_evidence(desk: Desk, provider: ProviderWithRegister) -> None:
    desk.plan()
    provider.accepts_silently = {BEN}
    desk.send(provider)

    class MeanwhileDecided(ProviderWithRegister):
        def find(self, sought: list[Sought]) -> dict[str, str]:
            desk.execute("update lifecycle.messages set send_state = 'cancelled' where customer_id = 'ben'")
            return provider.find(sought)

    desk.send(MeanwhileDecided())
    assert desk.states()["ben"] == ("cancelled", None)


def test_the_real_register_of_the_sandbox_settles_too(desk: Desk, sandbox: object) -> None:
    from lifecycle import senders

    channel = senders.sandbox_channel(desk.step)
    desk.plan()
    desk.send(channel)
    assert {state for state, _ in desk.states().values()} == {"accepted"}
    desk.execute("update lifecycle.messages set send_state = 'uncertain', provider_id = null where customer_id = 'ben'")
    desk.send(channel)
    found = desk.all("select send_state, provider_id from lifecycle.messages where customer_id = 'ben'")
    assert found[0][0] == "accepted"
    assert found[0][1].startswith("SM")


def test_a_sender_whose_lease_is_nearly_over_hands_nothing_over(
    desk: Desk, provider: ProviderWithRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lifecycle import delivery, outbox

    desk.plan()
    monkeypatch.setattr(outbox, "LEASE_SECONDS", delivery.SLOWEST_ANSWER_SECONDS)
    with pytest.raises(TryAgainError):
        desk.send(provider)
    assert provider.received == []
    assert {state for state, _ in desk.states().values()} == {"queued"}
    monkeypatch.undo()
    assert ACCEPTED.outcome == "accepted"


def test_a_message_whose_sender_died_is_no_witness(desk: Desk, provider: ProviderWithRegister) -> None:
    """It was accepted before its sender was given up, so that it says nothing about the time of giving up."""
    desk.plan()
    claimed = {row.address: row for row in desk.claim()}
    ids = [str(row.message_id) for row in claimed.values()]
    with database.transaction() as connection:
        links.keep(connection, [links.UsedLink(one, "hello", "shop", links.code(one, "shop")) for one in ids])
    words = links.code(str(claimed[BEN].message_id), "shop")
    provider.accepted.append(OutgoingSms(str(claimed[BEN].message_id), BEN, words))
    desk.execute("update lifecycle.messages set lease_until = now() - interval '1 second' where customer_id <> 'ben'")
    with database.transaction() as connection:
        outbox.expire_leases(connection)
    desk.let_time_pass(5)
    desk.execute("update lifecycle.messages set lease_until = now() - interval '1 second' where customer_id = 'ben'")
    with database.transaction() as connection:
        outbox.expire_leases(connection)
    for _ in range(2):
        evidence.settle_uncertain(desk.context, desk.step, provider)
    assert {name: state for name, (state, _) in desk.states().items()} == {
        "ana": "uncertain", "ben": "accepted", "cleo": "uncertain"
    }  # fmt: skip
