"""Points: what expiry and clamped refunds take, whatever order the facts became known in."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.points import Happened, settled

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def earned(fact: str, at: int, points: int, *, until: int | None = None) -> Happened:
    return Happened(fact, "earned", day(at), points, points, None, None if until is None else day(until))


def redeemed(fact: str, at: int, points: int) -> Happened:
    return Happened(fact, "redeemed", day(at), -points, -points)


def refunded(fact: str, at: int, points: int) -> Happened:
    return Happened(fact, "reversed", day(at), -points, 0, "clamp")


def test_a_clamped_refund_takes_what_there_is_and_no_more() -> None:
    history = [earned("a", 1, 100), redeemed("b", 2, 70), refunded("c", 3, 100)]
    assert settled(history, day(9)) == {"c": -30}


def test_a_clamped_refund_leaves_what_was_redeemed_after_it() -> None:
    """The refund became known when the points were gone already."""
    history = [earned("a", 1, 100), refunded("c", 2, 100), redeemed("b", 3, 70)]
    assert settled(history, day(9)) == {"c": -30}


def test_points_expire_first_in_first_out() -> None:
    """What is redeemed uses up the points that expire first."""
    history = [earned("a", 1, 100, until=10), earned("b", 2, 50, until=11), redeemed("r", 3, 120)]
    assert settled(history, day(10)) == {"expired/a": 0}
    assert settled(history, day(11)) == {"expired/a": 0, "expired/b": -30}


def test_points_that_are_not_used_expire_in_full_and_not_before() -> None:
    history = [earned("a", 1, 100, until=10)]
    assert settled(history, day(9)) == {}
    assert settled(history, day(10)) == {"expired/a": -100}


def test_what_is_earned_in_debt_pays_the_debt_and_only_the_rest_can_expire() -> None:
    debt = Happened("refund", "reversed", day(1), -60, -60, "allow_debt")
    assert settled([debt, earned("a", 2, 100, until=5)], day(5)) == {"expired/a": -40}


def test_an_order_that_arrives_late_may_expire_at_once() -> None:
    history = [earned("late", 1, 100, until=5), earned("new", 8, 10, until=20)]
    assert settled(history, day(9)) == {"expired/late": -100}


FACTS = st.lists(
    st.one_of(
        st.builds(earned, st.just("e"), st.integers(0, 30), st.integers(1, 200), until=st.none() | st.integers(31, 60)),
        st.builds(refunded, st.just("f"), st.integers(0, 60), st.integers(1, 200)),
        st.builds(redeemed, st.just("r"), st.integers(30, 60), st.integers(1, 50)),
    ),
    max_size=14,
).map(lambda facts: [one._replace(fact=f"{number}-{one.fact}") for number, one in enumerate(facts)])


@given(FACTS, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_become_known_changes_nothing(facts: list[Happened], chance: object) -> None:
    """L-01: days may be accrued in any order."""
    shuffled = list(facts)
    chance.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]
    assert settled(shuffled, day(50)) == settled(facts, day(50))


@given(FACTS)
def test_settling_takes_from_nobody_what_they_do_not_have(facts: list[Happened]) -> None:
    """Nobody falls below what redeeming alone would have left, and no lot loses more than it had."""
    taken = settled(facts, day(100))
    spent = sum(one.points for one in facts if one.kind != "reversed")
    assert spent + sum(taken.values()) >= min(0, spent)
    asked = {one.fact: one.requested for one in facts if one.kind == "reversed"}
    lots = {f"expired/{one.fact}": -one.points for one in facts if one.expires_at}
    for fact, points in taken.items():
        assert {**asked, **lots}[fact] <= points <= 0


@given(FACTS)
def test_what_was_settled_once_stays_settled(facts: list[Happened]) -> None:
    """Written into the ledger, the answer is the answer to itself, also for a day long before."""
    taken = settled(facts, day(100))
    written = [one._replace(points=taken.get(one.fact, one.points)) for one in facts]
    written += [
        Happened(fact, "expired", next(one.expires_at for one in facts if one.fact == fact[8:]), points, points)  # pyright: ignore[reportArgumentType]
        for fact, points in taken.items()
        if fact.startswith("expired/")
    ]
    assert settled(written, day(100)) == taken
    assert settled(written, day(0)) == {fact: points for fact, points in taken.items() if _is_due(fact, written)}


def _is_due(fact: str, history: list[Happened]) -> bool:
    """Whether an expiry lies before the last one that was ever written."""
    swept = [one.occurred_at for one in history if one.kind == "expired"]
    at = [one.occurred_at for one in history if one.fact == fact]
    return not fact.startswith("expired/") or at[0] <= max(swept)
