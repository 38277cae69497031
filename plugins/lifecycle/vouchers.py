"""Vouchers: single-use codes, what they give, and who used them.

A code belongs to a message, or to any other fact that a `source` names. It is stored before anything leaves, with the
source as its unique key: whatever crashes, a source has one code, and a code has one source.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import database
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.journey import Voucher

# No letter or digit that is mistaken for another one when read aloud or typed, and no vowel, so that no word appears.
# Their number is a prime: only so does one check letter find every slip.
LETTERS = "CDFGHJKLMNPQRTVWXY34679"
_RANDOM_LETTERS = 11
_GROUP = 4
# As long as every generated code, and never issued: its check letter is wrong.
SAMPLE_CODE = "CDFG-HJKL-MNPQ"


class NoVoucherLeftError(LifecycleError):
    """A pool has no code left."""


# What a till is told, by outcome.
SAYS = {
    "redeemed": "The voucher counts for this order",
    "used": "The voucher was used for another order",
    "expired": "The voucher has expired",
    "not_yet_valid": "The voucher is not valid yet",
    "void": "The voucher was taken back",
    "not_theirs": "The voucher is another customer's",
    "mistyped": "The code is mistyped: a letter is wrong or out of its place",
    "unknown": "Nobody was given this code",
}
_LONGEST_ID = 200


@dataclass(frozen=True)
class Redemption:
    """What became of a code at a till: `outcome` is a word of `SAYS`, and what the voucher gives if there is one."""

    outcome: str
    code: str | None = None
    kind: str | None = None
    percent_off: int | None = None
    amount_cents: int | None = None
    currency: str | None = None
    gift: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    redeemed_at: datetime | None = None

    @property
    def is_redeemed(self) -> bool:
        """Whether the voucher counts for the order it was asked for."""
        return self.outcome == "redeemed"

    @property
    def says(self) -> str:
        """The same as a sentence, without a full stop."""
        return SAYS[self.outcome]


@dataclass(frozen=True)
class IssuedVoucher:
    """What a template may print about a voucher. The times are in the zone of the journey.

    Of `percent_off`, `amount` ("5 USD") and `gift` one is there; none means free shipping.
    """

    code: str
    percent_off: int | None
    expires_at: datetime
    amount: str | None = None
    gift: str | None = None
    starts_at: datetime | None = None

    def dated_in(self, zone: tzinfo | None) -> IssuedVoucher:
        """The same voucher with its times named as people of a zone name them."""
        starts_at = self.starts_at.astimezone(zone) if self.starts_at else None
        return replace(self, expires_at=self.expires_at.astimezone(zone), starts_at=starts_at)


class Bearer(NamedTuple):
    """A message that is to carry a voucher: of the run day that starts at `run_at`, and leaving at `sent_at`."""

    message_id: str
    customer_id: str
    run_at: datetime
    sent_at: datetime


def issue(connection: Connection, offer: Voucher, bearers: list[Bearer]) -> dict[str, IssuedVoucher]:
    """Issue a voucher for each message, or find the one it already has; by message id.

    A message is missing when the pool of the offer has no code left for it. One that is tried again keeps its code, and
    its hours count anew.
    """
    sources = [f"message/{bearer.message_id}" for bearer in bearers]
    starts = [bearer.sent_at if offer.valid_for else bearer.run_at for bearer in bearers]
    message_ids = [bearer.message_id for bearer in bearers]
    _give(connection, offer, sources, message_ids, [bearer.customer_id for bearer in bearers], starts)
    if offer.valid_for:
        renewed = {"sources": sources, "valid_froms": starts, **_validity(offer)}
        database.run(connection, "engine/vouchers/renew.sql", **renewed)
    found = database.rows(connection, "engine/vouchers/of_sources.sql", sources=sources)
    return {row.source.removeprefix("message/"): issued(row) for row in found}


def issue_to(
    connection: Connection, offer: Voucher, *, customer_id: str, source: str, starts_at: datetime
) -> IssuedVoucher:
    """Issue a voucher that no message carries, valid from `starts_at` on, or find the one the source already has.

    `source` names the fact it is given for, such as `redemption/<key>`: one fact, one voucher, however often it is asked.
    `valid_days` counts local days of the transaction's zone.

    Raises:
        NoVoucherLeftError: the pool of the offer is empty.
        LifecycleError: the voucher of the source is somebody else's, or was withdrawn.
    """
    if not source or source.startswith("message/"):
        raise LifecycleError(f"A voucher cannot be for {source!r}", hint="Name the fact, such as redemption/<key>")
    _give(connection, offer, [source], [None], [customer_id], [starts_at])
    found = database.rows(connection, "engine/vouchers/of_sources.sql", sources=[source])
    if found and found[0].customer_id == customer_id:
        return issued(found[0])
    if found:
        raise LifecycleError(
            f"The voucher for {source!r} is another customer's", hint="Give each fact a name of its own"
        )
    if database.rows(connection, "engine/vouchers/is_given.sql", source=source):
        raise LifecycleError(f"The voucher for {source!r} was withdrawn", hint="Name the new fact it is given for")
    raise NoVoucherLeftError(
        f"The voucher pool {offer.pool!r} has no code left",
        hint=f"Import more with: lifecycle voucher pool import {offer.pool} FILE.csv",
    )


def issue_all(connection: Connection, offer: Voucher, customers: dict[str, str], starts_at: datetime) -> None:
    """Issue a voucher for each source that has none, to the customer it is given with; valid from `starts_at` on."""
    sources = list(customers)
    _give(connection, offer, sources, [None] * len(sources), list(customers.values()), [starts_at] * len(sources))


def withdraw(connection: Connection, source: str) -> bool:
    """Take the voucher of a source back: its code is void. Says whether it was there and unused."""
    found = database.rows(connection, "engine/vouchers/withdraw.sql", source=source)
    return bool(found) and found[0].is_released


def redeem(
    connection: Connection, code: str, *, order_id: str, at: datetime | None = None, customer_id: str | None = None
) -> Redemption:
    """Use a voucher for an order, once; asked for the same order again, the answer is the same.

    `at` is when it was used, now by default: the voucher is good through the second of its end. With a `customer_id` it
    has to be that customer's own. Of two orders that ask at once one gets it.

    Raises:
        LifecycleError: the order or customer id is none, or `at` has no offset.
    """
    for noun, value in (("order", order_id), ("customer", customer_id)):
        if value is not None and not (0 < len(value) <= _LONGEST_ID and value.isprintable()):
            hint = f"Give 1 to {_LONGEST_ID} printable characters"
            raise LifecycleError(f"The {noun} id {value[:_LONGEST_ID]!r} is not usable", hint=hint)
    if at is not None and at.tzinfo is None:
        raise LifecycleError(f"The time {at} has no offset", hint="Write it as 2026-03-31T12:00:00+01:00")
    key = code_key(code)
    asked = {"code_key": key, "order_id": order_id, "customer_id": customer_id}
    # A longer one cannot have been issued; what is pasted into a till may be anything.
    found = len(key) <= _LONGEST_ID and database.rows(
        connection, "engine/vouchers/redeem.sql", at_time=at.isoformat() if at else None, **asked
    )
    if found:
        return Redemption(*found[0])
    return Redemption("mistyped" if is_mistyped(key) else "unknown")


def show(connection: Connection, code: str) -> dict[str, Any]:
    """Everything that is known about a code: what it gives, whose it is, its state and times.

    Raises:
        LifecycleError: nobody was given such a code.
    """
    key = code_key(code)
    found = database.rows(connection, "engine/vouchers/show.sql", code_key=key)
    if not found:
        says = SAYS["mistyped" if is_mistyped(key) else "unknown"]
        raise LifecycleError(says, hint="Case, spaces and dashes make no difference; check the letters")
    return dict(found[0]._mapping)


def issued(row: Row[Any]) -> IssuedVoucher:
    """A voucher from its row: code, percent_off, amount_cents, currency, gift, valid_from, valid_until."""
    amount = money(row.amount_cents, row.currency) if row.amount_cents else None
    return IssuedVoucher(row.code, row.percent_off, row.valid_until, amount, row.gift, row.valid_from)


def sample(offer: Voucher, starts_at: datetime) -> IssuedVoucher:
    """A voucher as an offer makes it, with a code that nobody gets: for previews and rehearsals."""
    until = starts_at + (offer.valid_for or timedelta(days=offer.valid_days or 0))
    amount = money(offer.amount_cents, offer.currency or "") if offer.amount_cents else None
    return IssuedVoucher(SAMPLE_CODE, offer.percent_off, until, amount, offer.gift, starts_at)


def money(cents: int, currency: str) -> str:
    """An amount as people of every language read it: 5 USD, 12.50 EUR."""
    whole, rest = divmod(cents, 100)
    return f"{whole}.{rest:02} {currency}" if rest else f"{whole} {currency}"


def new_code() -> str:
    """Eleven letters nobody can guess (49 bits) and one that checks them, in three groups of four."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(_RANDOM_LETTERS))
    whole = letters + check_letter(letters)
    return "-".join(whole[at : at + _GROUP] for at in range(0, len(whole), _GROUP))


def new_code_key() -> str:
    """A code as it is compared, for addresses: the same letters without dashes."""
    return code_key(new_code())


def check_letter(letters: str) -> str:
    """The letter that makes a code's weighted sum vanish modulo the number of letters, a prime.

    Each place has a weight of its own, so that one wrong letter, or any two that changed places, leave a rest.
    """
    total = sum(weight * LETTERS.index(letter) for weight, letter in enumerate(letters, start=1))
    last = len(letters) + 1
    return LETTERS[-total * pow(last, -1, len(LETTERS)) % len(LETTERS)]


def code_key(typed: str) -> str:
    """A code as it is compared: in capitals, without spaces, dashes and dots, and in plain letters if it was typed wide."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", typed).upper() if letter.isalnum())


def is_mistyped(key: str) -> bool:
    """Whether something that is as long as a generated code has a letter that is wrong or out of its place."""
    if len(key) != _RANDOM_LETTERS + 1:
        return False
    return not set(key) <= set(LETTERS) or check_letter(key[:-1]) != key[-1]


def _give(
    connection: Connection,
    offer: Voucher,
    sources: list[str],
    message_ids: list[Any],
    customer_ids: list[str],
    starts: list[datetime],
) -> None:
    values = {
        "sources": sources,
        "message_ids": message_ids,
        "customer_ids": customer_ids,
        # To the second, so that the last second is a whole one.
        "valid_froms": [start.replace(microsecond=0) for start in starts],
        "kind": offer.kind,
        "percent_off": offer.percent_off,
        "amount_cents": offer.amount_cents,
        "currency": offer.currency,
        "gift": offer.gift,
        **_validity(offer),
    }
    if offer.pool:
        database.run(connection, "engine/vouchers/take.sql", pool=offer.pool, **values)
        return
    codes = [new_code() for _ in sources]
    keys = [code_key(code) for code in codes]
    database.run(connection, "engine/vouchers/issue.sql", codes=codes, code_keys=keys, **values)


def _validity(offer: Voucher) -> dict[str, int | None]:
    seconds = int(offer.valid_for.total_seconds()) if offer.valid_for else None
    return {"valid_days": offer.valid_days, "valid_seconds": seconds}
