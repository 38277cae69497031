"""Draws: committed to before, frozen at the end, repeated by anybody; whoever changes something is found out (L-09)."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import PROJECT
from tests.shop import Shop

from lifecycle import checks, draws
from lifecycle.errors import LifecycleError

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
CLOSES = datetime(2026, 4, 1, tzinfo=timezone.utc)
ENTRIES = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 50), min_size=1).map(
    lambda found: sorted(found.items())
)


@pytest.fixture
def buyers(shop: Shop) -> Shop:
    """Ana ordered three times in March, Ben once, Cleo before, Dora cancelled."""
    for name in ("ana", "ben", "cleo", "dora"):
        shop.customer(name)
    for day in (3, 4, 5):
        shop.order("ana", date(2026, 3, day))
    shop.order("ben", date(2026, 3, 31))
    shop.order("cleo", date(2026, 2, 1))
    shop.order("dora", date(2026, 3, 6), cancelled_at=datetime(2026, 3, 7, tzinfo=timezone.utc))
    return shop


def announced() -> draws.Draw:
    return draws.announce("spring", rule="purchases_of_the_month", winner_count=1, closes_at=CLOSES)


def closed() -> tuple[draws.Draw, draws.Entries]:
    return draws.close("spring", now=CLOSES, zone="Europe/London")


def test_a_draw_is_committed_to_frozen_revealed_and_repeated(buyers: Shop) -> None:
    commitment = announced().commitment
    frozen, entries = closed()
    assert entries == [("ana", 3), ("ben", 1)]
    assert (frozen.seed, frozen.winners) == ("", ())
    revealed = draws.reveal("spring", public_word="3 14 15 92")
    assert hashlib.sha256(revealed.seed.encode()).hexdigest() == commitment == revealed.commitment
    assert frozen.entries_sha == hashlib.sha256(b"ana,3\nben,1\n").hexdigest()
    assert revealed.winners[0] in ("ana", "ben")
    assert draws.verify("spring") == revealed == draws.reveal("spring", public_word="3 14 15 92")


def test_nobody_joins_after_it_closed_and_nobody_closes_it_early(buyers: Shop) -> None:
    announced()
    with pytest.raises(LifecycleError, match="is open until 2026-04-01"):
        draws.close("spring", now=CLOSES - timedelta(seconds=1), zone="Europe/London")
    first = closed()
    buyers.order("cleo", date(2026, 3, 20))
    assert closed() == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update lifecycle.draws set seed = 'another'", "the seed is not the one that was committed to"),
        (
            "update lifecycle.draw_entries set entries = entries + 1",
            "the list of entries is not the one that was frozen",
        ),
        ("update lifecycle.draw_winners set customer_id = 'cleo'", "the winners are not those of this seed and list"),
    ],
)
def test_whoever_changes_something_afterwards_is_found_out(buyers: Shop, change: str, said: str) -> None:
    announced()
    closed()
    draws.reveal("spring", public_word="3 14 15 92")
    buyers.connection.execute(change.encode())
    with pytest.raises(LifecycleError, match=said):
        draws.verify("spring")


def test_a_draw_has_one_name_one_end_and_one_word(buyers: Shop) -> None:
    announced()
    with pytest.raises(LifecycleError, match="There is a draw 'spring' already"):
        announced()
    with pytest.raises(LifecycleError, match="is not closed"):
        draws.reveal("spring", public_word="x")
    with pytest.raises(LifecycleError, match="was not revealed yet"):
        draws.verify("spring")
    closed()
    draws.reveal("spring", public_word="x")
    with pytest.raises(LifecycleError, match="with another public word"):
        draws.reveal("spring", public_word="y")
    with pytest.raises(LifecycleError, match="There is no draw 'summer'"):
        draws.verify("summer")
    with pytest.raises(LifecycleError, match="Did you mean 'contest'"):
        draws.announce("summer", rule="contests", winner_count=1, closes_at=CLOSES)


def test_a_draw_without_anybody_is_refused(shop: Shop) -> None:
    announced()
    with pytest.raises(LifecycleError, match="Nobody takes part"):
        closed()


def test_points_and_contest_entries_take_part_too(buyers: Shop) -> None:
    """From points and from an import, as from purchases."""
    from lifecycle import loyalty, programmes

    loyalty.accrue(programmes.only(), date(2026, 3, 1), date(2026, 3, 31))
    draws.announce("points", rule="points_of_the_month", winner_count=1, closes_at=CLOSES)
    assert draws.close("points", now=CLOSES, zone="Europe/London")[1] == [("ana", 3), ("ben", 1)]
    buyers._insert("events", {"event_id": "e", "customer_id": "cleo", "name": "contest_entry", "occurred_at": NOON})
    draws.announce("contest", rule="contest", winner_count=1, closes_at=CLOSES)
    assert draws.close("contest", now=CLOSES, zone="Europe/London")[1] == [("cleo", 1)]


def test_check_looks_at_the_rules_of_draws(buyers: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("include", "dags"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    rule = tmp_path / "include" / "sql" / "draws" / "contest.sql"
    rule.write_text(rule.read_text().replace("as entries", "as chances"))
    (problem,) = checks.problems()
    assert "include/sql/draws/contest.sql: The column entries is missing" in str(problem)


@given(ENTRIES, st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(1, 5))
def test_nobody_wins_twice_and_all_places_are_filled(entries: draws.Entries, seed: str, places: int) -> None:
    winners = draws.winners_of(entries, seed=seed, public_word="x", winner_count=places)
    assert len(set(winners)) == len(winners) == min(places, len(entries))
    assert set(winners) <= {who for who, _ in entries}


def test_the_winners_of_a_seed_are_these_for_ever() -> None:
    """A known answer: a draw of years ago must be repeatable with today's code."""
    entries = [("ana", 3), ("ben", 1), ("cleo", 6)]
    assert draws.winners_of(entries, seed="00ff", public_word="3 14 15", winner_count=3) == KNOWN


# Found with sha256sum alone: 0 to 2 are ana's entries, 3 is ben's, 4 to 9 are cleo's.
KNOWN = ["cleo", "ben", "ana"]


def test_more_entries_are_more_chances_in_proportion() -> None:
    entries = [("ana", 3), ("ben", 1), ("cleo", 6)]
    first = Counter(
        draws.winners_of(entries, seed=str(seed), public_word="x", winner_count=1)[0] for seed in range(5_000)
    )
    assert {who: round(times / 5_000, 1) for who, times in first.items()} == {"ana": 0.3, "ben": 0.1, "cleo": 0.6}
