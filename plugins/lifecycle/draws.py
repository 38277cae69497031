"""Draws: lucky draws that nobody can steer and everybody can repeat (L-09).

Three public steps. Before the draw its commitment is published, the digest of a secret seed. When it closes the list of
entries is frozen and its digest is published. Then the seed is revealed, and with it the winners. Whoever has the seed, the
public word and the list finds the same winners, with nothing but SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any

from lifecycle import database, settings
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError
from lifecycle.journey import check_name, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

# Who takes part and how often, in the order of the customer ids' bytes.
Entries = list[tuple[str, int]]


@dataclass(frozen=True)
class Draw:
    """What is published about a draw; `seed` is empty until it is revealed."""

    name: str
    commitment: str
    closes_at: datetime
    entries_sha: str = ""
    seed: str = ""
    public_word: str = ""
    winners: tuple[str, ...] = ()


def commitment_to(seed: str) -> str:
    """What is published about a seed before it is revealed."""
    return hashlib.sha256(seed.encode()).hexdigest()


def digest_of(entries: Entries) -> str:
    """The digest of a list of entries: SHA-256 of its lines `customer_id,entries`, each with a line feed."""
    return hashlib.sha256("".join(f"{who},{times}\n" for who, times in entries).encode()).hexdigest()


def winners_of(entries: Entries, *, seed: str, public_word: str, winner_count: int) -> list[str]:
    """Who wins, first place first; nobody wins twice.

    Every entry has a number, from 0 on. The number of a place is the SHA-256 of `seed/public_word/entries_sha/place/try` as a
    number, modulo the entries that are left; a digest so high that small numbers would come more often is tried again.
    """
    left = list(entries)
    sha = digest_of(entries)
    winners: list[str] = []
    for place in range(1, min(winner_count, len(entries)) + 1):
        ends = list(accumulate(times for _, times in left))
        number = _number(f"{seed}/{public_word}/{sha}/{place}", below=ends[-1])
        winner, _ = left.pop(bisect_right(ends, number))
        winners.append(winner)
    return winners


def _number(text: str, *, below: int) -> int:
    highest = 2**256 - 2**256 % below
    for attempt in count(1):
        number = int.from_bytes(hashlib.sha256(f"{text}/{attempt}".encode()).digest(), "big")
        if number < highest:
            return number % below
    raise AssertionError("count() never ends")


def announce(name: str, *, rule: str, winner_count: int, closes_at: datetime) -> Draw:
    """Announce a draw; its commitment is to be published before it closes.

    `rule` is a file in `include/sql/draws/`, one SELECT of `customer_id` and `entries`.

    Raises:
        LifecycleError: the name is taken, or the rule does not keep its contract.
    """
    check_name("draw", name)
    file = _rule(rule)
    seed = secrets.token_hex(32)
    with database.transaction() as connection:
        database.require_schema(connection)
        file.checked_columns(connection)
        values = {"name": name, "commitment": commitment_to(seed), "seed": seed, "closes_at": closes_at}
        opened = database.rows(connection, "engine/draws/open.sql", **values, winner_count=winner_count, sql_file=rule)
        if not opened:
            raise LifecycleError(f"There is a draw {name!r} already", hint="Give this one a name of its own")
        return _published(connection, name)


def close(name: str, *, now: datetime, zone: str) -> tuple[Draw, Entries]:
    """Freeze who takes part, as known when the draw closes; asked again, the list is the same.

    Raises:
        LifecycleError: it is not over yet, nobody takes part, or the rule returns somebody twice.
    """
    with database.transaction() as connection:
        found = _find(connection, name)
        if found.entries_sha is None:
            if now < found.closes_at:
                raise LifecycleError(
                    f"The draw {name!r} is open until {found.closes_at:%Y-%m-%d %H:%M %Z}", hint="Close it then"
                )
            database.set_as_of(connection, found.closes_at, zone)
            _freeze(connection, name, _rule(found.sql_file))
        return _published(connection, name), _entries(connection, name)


def reveal(name: str, *, public_word: str) -> Draw:
    """Reveal the seed and draw the winners; asked again, they are the same.

    `public_word` is something that nobody could know before the draw closed, such as the numbers of a lottery: with it not
    even whoever keeps the seed can have known the winners.

    Raises:
        LifecycleError: the draw is not closed, or was revealed with another word.
    """
    if not public_word.strip():
        raise LifecycleError(
            "The public word is empty", hint="Give something nobody could know, such as lottery numbers"
        )
    with database.transaction() as connection:
        found = _find(connection, name)
        if found.entries_sha is None:
            raise LifecycleError(f"The draw {name!r} is not closed", hint=f"Run: lifecycle draw close {name}")
        if found.revealed_at is None:
            winners = winners_of(
                _entries(connection, name), seed=found.seed, public_word=public_word, winner_count=found.winner_count
            )
            database.run(connection, "engine/draws/reveal.sql", name=name, public_word=public_word)
            database.run(connection, "engine/draws/keep_winners.sql", name=name, customer_ids=winners)
        elif found.public_word != public_word:
            raise LifecycleError(
                f"The draw {name!r} was revealed with another public word", hint="Look with: lifecycle draw verify"
            )
        return _published(connection, name)


def verify(name: str) -> Draw:
    """Repeat a draw from what was published, and hold it against what is kept.

    Raises:
        LifecycleError: it was not revealed yet, or something of it was changed; the line says what.
    """
    with database.transaction() as connection:
        found = _find(connection, name)
        if found.revealed_at is None:
            raise LifecycleError(f"The draw {name!r} was not revealed yet", hint=f"Run: lifecycle draw reveal {name}")
        draw, entries = _published(connection, name), _entries(connection, name)
    repeated = winners_of(entries, seed=draw.seed, public_word=draw.public_word, winner_count=found.winner_count)
    for is_right, what in (
        (commitment_to(draw.seed) == draw.commitment, "the seed is not the one that was committed to"),
        (digest_of(entries) == draw.entries_sha, "the list of entries is not the one that was frozen"),
        (tuple(repeated) == draw.winners, "the winners are not those of this seed and list"),
    ):
        if not is_right:
            raise LifecycleError(f"The draw {name!r} was changed: {what}", hint="Trust what was published, not this")
    return draw


def _freeze(connection: Connection, name: str, rule: AnalystSql) -> None:
    rule.checked_columns(connection)
    entries: dict[str, int] = {}
    for who, times in rule.stream(connection):
        if who in entries:
            raise rule.wrong(f"Customer {who} comes twice", "Return each customer once: group by customer_id")
        if times < 1:
            raise rule.wrong(f"A customer has {times} entries", "Leave such rows out in the where clause")
        entries[who] = times
    if not entries:
        raise LifecycleError(f"Nobody takes part in the draw {name!r}", hint="Look at its rule: lifecycle check")
    # By bytes, as the list is numbered.
    ordered = sorted(entries.items(), key=lambda entry: entry[0].encode())
    records = ((name, who, times) for who, times in ordered)
    database.copy_rows(connection, "lifecycle.draw_entries", ("draw", "customer_id", "entries"), records)
    database.run(connection, "engine/draws/close.sql", name=name, entries_sha=digest_of(ordered))


def _rule(name: str) -> AnalystSql:
    check_name("rule of a draw", name)
    path = settings.sql_folder() / "draws" / f"{name}.sql"
    if not path.is_file():
        raise unknown_name("rule of a draw", name, [file.stem for file in path.parent.glob("*.sql")])
    return AnalystSql(path, "draw")


def rules() -> list[AnalystSql]:
    """Every rule of a draw there is."""
    return [AnalystSql(path, "draw") for path in sorted((settings.sql_folder() / "draws").glob("*.sql"))]


def _find(connection: Connection, name: str) -> Any:
    database.require_schema(connection)
    found = database.rows(connection, "engine/draws/find.sql", name=name)
    if not found:
        raise LifecycleError(f"There is no draw {name!r}", hint=f"Announce it with: lifecycle draw open {name}")
    return found[0]


def _published(connection: Connection, name: str) -> Draw:
    found = _find(connection, name)
    drawn = database.rows(connection, "engine/draws/winners.sql", name=name)
    return Draw(
        name,
        found.commitment,
        found.closes_at,
        found.entries_sha or "",
        found.seed if found.revealed_at else "",
        found.public_word or "",
        tuple(row.customer_id for row in drawn),
    )


def _entries(connection: Connection, name: str) -> Entries:
    found: Sequence[Any] = database.rows(connection, "engine/draws/entries.sql", name=name)
    return [(row.customer_id, row.entries) for row in found]
