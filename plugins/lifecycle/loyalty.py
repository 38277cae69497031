"""Loyalty: the points ledger. What gives points, what takes them, and that the sums hold whatever crashes.

A fact stands in the ledger once: its name is unique in the schema, so a day may be accrued again, backward or by two
workers. Nothing is ever changed: corrections are further entries. Requirements L-01 to L-10.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import as_of, customers, database, points, referrals, settings, tiers, vouchers
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError
from lifecycle.points import Happened, Kind

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.programme import Programme
    from lifecycle.vouchers import IssuedVoucher

_ACCOUNTS_AT_ONCE = 1_000


class ConflictError(LifecycleError):
    """A fact is in the ledger with another content."""


class NotEnoughPointsError(LifecycleError):
    """Somebody has fewer points than it takes."""


@dataclass(frozen=True)
class Entry:
    """One fact to write: whose, when, and how many points; what takes points is negative.

    `fact` names what happened, such as `redemption/till-3/8812`; the same fact written again changes nothing.
    """

    fact: str
    kind: Kind
    customer_id: str
    points: int
    occurred_at: datetime
    other_side: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class Posted(NamedTuple):
    """What became of an entry: the points it got, and whether it stood in the ledger already."""

    points: int
    is_replay: bool


class Totals(NamedTuple):
    """The programme in four numbers: points earned, taken back, the difference, and customers who owe points."""

    earned: int
    reversed: int
    net: int
    customers_below_zero: int


class StatementLine(NamedTuple):
    """One line of a customer's statement; `balance` is the balance after it."""

    fact: str
    kind: str
    occurred_at: datetime
    points: int
    balance: int
    expires_at: datetime | None


class Difference(NamedTuple):
    """A fact about which the ledger and the shop do not agree, in points; in hundredths of money spent when tiers ask."""

    fact: str
    customer_id: str
    in_ledger: int
    in_facts: int
    cents_in_ledger: int
    cents_in_facts: int


# --- earning ----------------------------------------------------------------------------------------------------------


def accrue(programme: Programme, first: date, last: date) -> int:
    """Accrue what happened on the local days from first to last, both included; returns how many facts were new.

    Days may be accrued in any order and as often as one likes. There is no lateness: a fact that arrives late is accrued
    when its day is accrued again.

    Raises:
        LifecycleError: a rule breaks its contract, or returns a fact twice.
    """
    days = as_of.days_between(first, last)
    with database.transaction() as connection:
        database.require_schema(connection)
        stage(connection, programme, first, last)
        written = _write_staged(connection, programme, days)
        _settle_staged(connection, as_of.end_of(last, programme.zone))
        tiers.move(connection, programme)
    return written


def rules_of(programme: Programme) -> list[AnalystSql]:
    """The earning rules of a programme."""
    return [AnalystSql(programme.rule_path(rule), "earning") for rule in programme.rules]


def first_open_day(programme: Programme, first: date, last: date) -> date | None:
    """The first of some days that was never accrued; None when all were."""
    with database.transaction() as connection:
        database.require_schema(connection)
        span = {"programme": programme.name, "first": first, "last": last}
        return database.rows(connection, "engine/points/first_open_day.sql", **span)[0].day


def stage(connection: Connection, programme: Programme, first: date, last: date) -> None:
    """Find the facts of some local days with the programme's rules, and keep them until the transaction ends."""
    database.set_as_of(connection, as_of.end_of(last, programme.zone), programme.zone)
    database.run(
        connection,
        "engine/points/set_rules.sql",
        per_unit=settings.points_per_unit(),
        rounding=settings.points_rounding(),
        accrued_from=as_of.midnight(first, programme.zone).isoformat(),
    )
    # Points for friends are told from claims, which are written down first.
    referrals.recognise(connection)
    database.run(connection, "engine/points/create_staging.sql")
    database.run(connection, "engine/points/grant_staging.sql")
    database.run(connection, "engine/points/open_staging.sql")
    for rule in rules_of(programme):
        rule.checked_columns(connection)
        rule.insert(connection, "staged_facts", rule=rule.path.stem)
    database.run(connection, "engine/points/analyze_staging.sql")
    database.run(connection, "engine/points/join_in_bulk.sql")
    repeated = database.rows(connection, "engine/points/repeated.sql")
    if repeated:
        name, _, fact = repeated[0].fact.partition("/")
        hint = "Return each fact once: group, or select distinct on (fact)"
        raise AnalystSql(programme.rule_path(name), "earning").wrong(f"The fact {fact} comes twice", hint)


def _write_staged(connection: Connection, programme: Programme, days: list[date]) -> int:
    policy, expire_days = settings.points_refunds(), settings.points_expire_days()
    with _as_ledger(connection):
        database.run(connection, "engine/points/open_accounts.sql")
        written = database.run(connection, "engine/points/accrue.sql", policy=policy, expire_days=expire_days)
    database.run(connection, "engine/points/remember_days.sql", programme=programme.name, days=days)
    return written


def _settle_staged(connection: Connection, at: datetime) -> None:
    found = [row.account_id for row in database.rows(connection, "engine/points/unsettled.sql", as_of=at)]
    for start in range(0, len(found), _ACCOUNTS_AT_ONCE):
        settle(connection, found[start : start + _ACCOUNTS_AT_ONCE], at)


def settle(connection: Connection, account_ids: list[int], at: datetime) -> Counter[int]:
    """Let refunds and expiry take from some accounts what they take by everything that is known at an instant.

    The accounts are locked until the transaction ends; returns their balances.
    """
    with _as_ledger(connection):
        database.rows(connection, "engine/points/lock_accounts.sql", account_ids=account_ids)
        return _settled_balances(connection, account_ids, at)


def _settled_balances(connection: Connection, account_ids: list[int], at: datetime) -> Counter[int]:
    found = database.rows(connection, "engine/points/histories.sql", account_ids=account_ids)
    balances: Counter[int] = Counter()
    corrections: list[_Correction] = []
    for account_id, rows in groupby(found, key=lambda row: row.account_id):
        history = [Happened(*_of_history(row)) for row in rows]
        corrected = list(_corrections(account_id, history, at))
        balances[account_id] = sum(one.points for one in history) + sum(one.points for one in corrected)
        corrections += corrected
    _correct(connection, corrections)
    return balances


def _of_history(row: Any) -> tuple[Any, ...]:
    return row.fact, row.kind, row.occurred_at, row.requested, row.points, row.policy, row.expires_at


class _Correction(NamedTuple):
    fact: str
    kind: str
    account_id: int
    requested: int
    points: int
    policy: str | None
    occurred_at: datetime
    spend_cents: int = 0
    counts_from: datetime | None = None


def _corrections(account_id: int, history: list[Happened], at: datetime) -> Iterator[_Correction]:
    by_fact = {one.fact: one for one in history}
    for fact, taken in points.settled(history, at).items():
        known = by_fact.get(fact)
        if known is None:
            expired_at = by_fact[fact.removeprefix("expired/")].expires_at
            assert expired_at is not None
            # Written also when nothing was left, so that nobody looks at these points again.
            yield _Correction(fact, "expired", account_id, taken, taken, None, expired_at)
        elif known.points != taken:
            change = taken - known.points
            # A refund goes on asking for all its points; an expiry never asks for more than it takes.
            asked = change if known.kind == "expired" else 0
            yield _Correction(fact, known.kind, account_id, asked, change, known.policy, known.occurred_at)


def _correct(connection: Connection, corrections: list[_Correction]) -> None:
    if not corrections:
        return
    facts, kinds, account_ids, requested, given, policies, occurred_ats, spend_cents, counts_from = map(
        list, zip(*corrections, strict=True)
    )
    database.run(
        connection,
        "engine/points/correct.sql",
        facts=facts,
        kinds=kinds,
        account_ids=account_ids,
        requested=requested,
        points=given,
        policies=policies,
        occurred_ats=occurred_ats,
        spend_cents=spend_cents,
        counts_from=counts_from,
    )


# --- single entries ---------------------------------------------------------------------------------------------------


def post(connection: Connection, entry: Entry) -> Posted:
    """Write one entry into the ledger; the account is locked until the transaction ends.

    Raises:
        ConflictError: the fact is in the ledger with another content.
        NotEnoughPointsError: it takes more than there is. A reversal never fails: it owes, or takes what there is.
    """
    with _as_ledger(connection):
        database.run(connection, "engine/points/open_account.sql", customer_id=entry.customer_id)
        ((account_id,),) = database.rows(connection, "engine/points/lock_account.sql", customer_id=entry.customer_id)
        known = database.rows(connection, "engine/points/find.sql", fact=entry.fact)
        if known:
            return _replayed(entry, account_id, known[0])
        policy = settings.points_refunds() if entry.kind == "reversed" else None
        held = _settled_balances(connection, [account_id], entry.occurred_at)[account_id]
        given = _granted(entry, policy, held)
        written = database.rows(
            connection,
            "engine/points/post.sql",
            fact=entry.fact,
            kind=entry.kind,
            account_id=account_id,
            other_side=entry.other_side or entry.kind,
            requested=entry.points,
            points=given,
            policy=policy,
            occurred_at=entry.occurred_at,
            details=json.dumps(entry.details),
        )
        if not written:
            # Another customer got the same fact in between: the schema lets one of them through.
            (known,) = database.rows(connection, "engine/points/find.sql", fact=entry.fact)
            return _replayed(entry, account_id, known)
    return Posted(given, is_replay=False)


def _granted(entry: Entry, policy: str | None, held: int) -> int:
    if entry.points >= 0 or policy == "allow_debt":
        return entry.points
    if policy == "clamp":
        return -min(-entry.points, max(0, held))
    if held + entry.points < 0:
        raise NotEnoughPointsError(
            f"There are {held} points, and it takes {-entry.points}", hint="Earn more points first, or take fewer"
        )
    return entry.points


def _replayed(entry: Entry, account_id: int, known: Any) -> Posted:
    same = (entry.kind, account_id, entry.other_side or entry.kind, entry.points, entry.details)
    if (known.kind, known.account_id, known.other_side, known.requested, known.details) != same:
        hint = "Give what happened now a key of its own"
        raise ConflictError(f"{entry.fact} is in the ledger already, and differs", hint=hint)
    return Posted(known.points, is_replay=True)


def redeem(
    connection: Connection, programme: Programme, reward_name: str, customer_id: str, key: str, at: datetime
) -> IssuedVoucher | None:
    """Buy a reward with points, in the transaction of the caller: the code and the lower balance come together (L-02).

    `key` names the redemption, such as the number of a form: asked again with it, the answer is the same voucher. A product
    or a donation has no code.

    Raises:
        NotEnoughPointsError: the customer has fewer points than the reward costs.
        ConflictError: the key was used for something else.
        NoVoucherLeftError: the voucher comes from a pool that is empty; no points are taken.
    """
    reward = programme.reward(reward_name)
    customers.require_known(connection, customer_id)
    database.set_as_of(connection, at, programme.zone)
    fact = f"redemption/{key}"
    details = {"reward": reward.name}
    post(connection, Entry(fact, "redeemed", customer_id, -reward.points, at, reward.other_side, details))
    if not reward.voucher:
        return None
    return vouchers.issue_to(connection, reward.voucher, customer_id=customer_id, source=fact, starts_at=at)


def adjust(
    connection: Connection, customer_id: str, given: int, *, key: str, who: str, why: str, at: datetime
) -> Posted:
    """Give or take points by hand; who did it and why is kept with it.

    Raises:
        LifecycleError: it has no reason, or takes more than there is.
    """
    if not why.strip():
        raise LifecycleError("An adjustment needs a reason", hint="Say why: --why 'parcel was lost'")
    if not given:
        raise LifecycleError("An adjustment of 0 points changes nothing", hint="Give a number such as 50 or -50")
    customers.require_known(connection, customer_id)
    details = {"who": who, "why": why}
    return post(connection, Entry(f"adjustment/{key}", "adjusted", customer_id, given, at, details=details))


# --- looking ----------------------------------------------------------------------------------------------------------


def totals(connection: Connection) -> Totals:
    """The whole programme in four numbers."""
    return Totals(*database.rows(connection, "engine/points/totals.sql")[0])


def statement(connection: Connection, customer_id: str) -> list[StatementLine]:
    """What happened to a customer's points, oldest first.

    Raises:
        LifecycleError: nobody knows the customer.
    """
    customers.require_known(connection, customer_id)
    found = database.rows(connection, "engine/points/statement.sql", customer_id=customer_id)
    return [StatementLine(*row) for row in found]


def differences(programme: Programme, *, repair: bool = False) -> list[Difference]:
    """Recompute the ledger from the facts of the days that were accrued; returns what does not agree.

    With `repair` each difference is corrected by a further entry, and everybody's tiers are told anew.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
        (span,) = database.rows(connection, "engine/points/accrued_span.sql", programme=programme.name)
        if not span.first_day:
            return []
        stage(connection, programme, span.first_day, span.last_day)
        asked = {
            "programme": programme.name,
            "rules": list(programme.rules),
            "is_spend_counted": programme.is_spend_counted,
        }
        found = database.rows(connection, "engine/points/differences.sql", **asked)
        if repair and found:
            _repair(connection, found)
            _settle_staged(connection, as_of.end_of(span.last_day, programme.zone))
        if repair:
            tiers.rebuild(connection, programme)
    return [Difference(*(getattr(row, name) for name in Difference._fields)) for row in found]


def misplaced(programme: Programme) -> int:
    """How many tiers, of now and of the past, the ledger tells otherwise than they stand; nothing is changed."""
    with database.transaction() as connection, connection.begin_nested() as rehearsal:
        (span,) = database.rows(connection, "engine/points/accrued_span.sql", programme=programme.name)
        if not span.last_day:
            return 0
        database.set_as_of(connection, as_of.end_of(span.last_day, programme.zone), programme.zone)
        found = tiers.rebuild(connection, programme)
        rehearsal.rollback()
    return found


def require_agreement(programme: Programme) -> int:
    """Refuse a ledger that does not agree with the facts, or tiers that do not agree with it; returns 0: nothing differs.

    Raises:
        LifecycleError: how many facts differ, and which is the first; or how many tiers.
    """
    found = differences(programme)
    hint = "Look at them with: lifecycle points rebuild --check; correct them with: lifecycle points rebuild"
    if found:
        one = found[0]
        first = f"{one.fact} has {one.in_ledger} points and should have {one.in_facts}"
        if one.in_ledger == one.in_facts:
            first = f"{one.fact} has {one.cents_in_ledger} hundredths spent and should have {one.cents_in_facts}"
        raise LifecycleError(f"{len(found)} facts differ between shop and ledger; {first}", hint=hint)
    moved = misplaced(programme)
    if moved:
        raise LifecycleError(f"{moved} tiers differ from what the ledger tells", hint=hint)
    return 0


def _repair(connection: Connection, found: list[Any]) -> None:
    policy, expire_days = settings.points_refunds(), settings.points_expire_days()
    with _as_ledger(connection):
        database.run(connection, "engine/points/open_accounts.sql")
        corrections = []
        for row in found:
            if row.kind is None:
                continue
            change = row.in_facts - row.in_ledger
            given = 0 if row.policy == "clamp" else change
            corrections.append(
                _Correction(
                    row.fact,
                    row.kind,
                    row.account_id,
                    change,
                    given,
                    row.policy,
                    row.occurred_at,
                    row.cents_in_facts - row.cents_in_ledger,
                    row.counts_from,
                )
            )
        _correct(connection, corrections)
        database.run(connection, "engine/points/accrue.sql", policy=policy, expire_days=expire_days)


@contextmanager
def _as_ledger(connection: Connection) -> Iterator[None]:
    """Work as the role that may add points and change none."""
    database.run(connection, "engine/session/become_ledger.sql")
    try:
        yield
    except LifecycleError:
        # Refused, and the transaction goes on if the caller wants it to.
        database.run(connection, "engine/session/stop_being_ledger.sql")
        raise
    database.run(connection, "engine/session/stop_being_ledger.sql")
