"""Referrals: each customer's link, who came by it, and what is given for that (F-01 to F-06, J-28, A-5).

A claim is an order that came with a code; it needs no cookie. What becomes of it is told by the orders and refunds, in
the view `shop.referrals`, so that days may be settled in any order, again, or by two workers. What is given has a unique
key in the schema: a voucher per friend, a row per renewal, free shipping once per customer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import customers, database, links, settings, vouchers
from lifecycle.journey import Voucher

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

# A credit that nobody uses ends some day.
CREDIT_DAYS = 365


class Settled(NamedTuple):
    """What a settlement found and gave: in numbers, never whose."""

    claims: int
    credits: int
    withdrawn: int
    cash_entries: int
    free_shipping: int


class Friend(NamedTuple):
    """Somebody a customer brought; `status` is pending, confirmed or reversed."""

    friend_id: str
    status: str
    claimed_at: datetime
    confirmed_at: datetime | None
    reversed_at: datetime | None
    credit_code: str | None
    credit_state: str | None


class Standing(NamedTuple):
    """A line of the leaderboard; `place` is shared by equals."""

    place: int
    customer_id: str
    confirmed: int
    pending: int
    reversed: int


@dataclass(frozen=True)
class Account:
    """What a customer did for the shop and what they have for it. `cash_back` is hundredths by currency."""

    customer_id: str
    link: str
    confirmed: int
    pending: int
    reversed: int
    has_free_shipping: bool
    cash_back: dict[str, int]
    friends: list[Friend]


# --- links ------------------------------------------------------------------------------------------------------------


def code_keys(connection: Connection, customer_ids: Sequence[str]) -> dict[str, str]:
    """The codes of some customers, by id; whoever has none gets one that nobody can guess, and keeps it for ever."""
    wanted = list(dict.fromkeys(customer_ids))
    known = _known_keys(connection, wanted)
    without = [customer_id for customer_id in wanted if customer_id not in known]
    if without:
        made = [vouchers.new_code_key() for _ in without]
        database.run(connection, "engine/referrals/keep_codes.sql", customer_ids=without, code_keys=made)
        known |= _known_keys(connection, without)
    return known


def _known_keys(connection: Connection, customer_ids: list[str]) -> dict[str, str]:
    found = database.rows(connection, "engine/referrals/codes.sql", customer_ids=customer_ids)
    return {row.customer_id: row.code_key for row in found}


def link_of(connection: Connection, customer_id: str) -> str:
    """The one address of a customer that friends come by, made now if there is none (F-01).

    Raises:
        LifecycleError: nobody has that id.
    """
    customers.require_known(connection, customer_id)
    return links.referral_url(code_keys(connection, [customer_id])[customer_id])


def is_known(connection: Connection, typed: str) -> bool:
    """Whether a code is somebody's; works as the role `lifecycle_receiver` does."""
    key = vouchers.code_key(typed)
    # Whatever else is asked for was never made, and is not worth asking Postgres.
    if vouchers.is_mistyped(key) or len(key) != len(vouchers.code_key(vouchers.SAMPLE_CODE)):
        return False
    (found,) = database.rows(connection, "engine/referrals/is_known.sql", code_key=key)
    return bool(found.is_known)


# --- claims and what is given for them --------------------------------------------------------------------------------


def recognise(connection: Connection) -> int:
    """Write down the claims that orders known at the transaction's `as_of()` make; returns how many were new.

    Refused are, with their reason: codes nobody has, people who bring themselves, by another id as well, customers who had
    ordered before, a second claim, and circles.
    """
    return database.run(connection, "engine/referrals/recognise.sql")


def settle(*, counted_from: datetime, until: datetime, zone: str) -> Settled:
    """Give what was earned, and take back what was not, by everything known at `until`.

    Friends count who were confirmed at `counted_from` or later: what was before the programme gives nothing. All of it
    is one transaction and unique in the schema: a settlement that is killed, or runs twice or beside another, changes
    nothing.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
        database.run(connection, "engine/referrals/lock.sql")
        database.set_as_of(connection, until, zone)
        claims = recognise(connection)
        credits = _give_credits(connection, counted_from, until)
        withdrawn = database.rows(connection, "engine/referrals/withdraw_credits.sql")
        return Settled(
            claims,
            credits,
            sum(row.is_released for row in withdrawn),
            # After the withdrawal: a credit that was used just before is owed instead.
            _keep_cash(connection, counted_from),
            _give_free_shipping(connection, counted_from),
        )


def _give_credits(connection: Connection, counted_from: datetime, at: datetime) -> int:
    credit = settings.referral_credit()
    if credit is None:
        return 0
    cents, currency = credit
    offer = Voucher(amount_cents=cents, currency=currency, valid_days=CREDIT_DAYS)
    found = database.rows(connection, "engine/referrals/uncredited.sql", counted_from=counted_from)
    if found:
        owners = {f"referral/{row.friend_id}": row.referrer_id for row in found}
        vouchers.issue_all(connection, offer, owners, at)
    return len(found)


def _keep_cash(connection: Connection, counted_from: datetime) -> int:
    asked = {"counted_from": counted_from, "percent": settings.referral_cash_back()}
    earned = database.run(connection, "engine/referrals/cash_back.sql", **asked)
    taken = database.run(connection, "engine/referrals/take_cash_back.sql")
    return earned + taken + database.run(connection, "engine/referrals/owe_used_credits.sql")


def _give_free_shipping(connection: Connection, counted_from: datetime) -> int:
    friends = settings.referral_friends()
    if not friends:
        return 0
    return database.run(connection, "engine/referrals/free_shipping.sql", counted_from=counted_from, friends=friends)


# --- looking ----------------------------------------------------------------------------------------------------------


def account(customer_id: str, now: datetime) -> Account:
    """What a customer brought and has for it by now; claims that nobody wrote down yet are, first.

    Raises:
        LifecycleError: nobody has that id.
    """
    with _up_to_date(now) as connection:
        link = link_of(connection, customer_id)
        rows = database.rows(connection, "engine/referrals/of_referrer.sql", customer_id=customer_id)
        cash = database.rows(connection, "engine/referrals/cash_of_referrer.sql", customer_id=customer_id)
        shipping = database.rows(connection, "engine/referrals/shipping_of_referrer.sql", customer_id=customer_id)
    friends = [Friend(*row) for row in rows]
    return Account(
        customer_id,
        link,
        confirmed=_count(friends, "confirmed"),
        pending=_count(friends, "pending"),
        reversed=_count(friends, "reversed"),
        has_free_shipping=any(row.is_held for row in shipping),
        cash_back={row.currency: row.amount_cents for row in cash},
        friends=friends,
    )


def _count(friends: list[Friend], status: str) -> int:
    return sum(friend.status == status for friend in friends)


def leaderboard(most: int, now: datetime) -> list[Standing]:
    """Who brought the most friends that stayed by now; of equals whoever was there first."""
    with _up_to_date(now) as connection:
        return [Standing(*row) for row in database.rows(connection, "engine/referrals/leaderboard.sql", most=most)]


@contextmanager
def _up_to_date(now: datetime) -> Iterator[Connection]:
    with database.transaction() as connection:
        database.require_schema(connection)
        # No day is counted here: the zone makes no difference.
        database.set_as_of(connection, now, "UTC")
        recognise(connection)
        yield connection
