"""Vouchers: single-use codes that a message carries."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Voucher

# No letter or digit that is mistaken for another one when read aloud or typed.
_LETTERS = "ACDEFGHJKLMNPQRTUVWXY34679"


@dataclass(frozen=True)
class IssuedVoucher:
    """What a template may print about a voucher. `expires_at` is in the zone of the journey."""

    code: str
    percent_off: int
    expires_at: datetime


def issue(
    connection: Connection, offer: Voucher, *, message_id: Any, customer_id: str, starts_at: datetime
) -> IssuedVoucher:
    """Issue the voucher of a message, or return the one it already has."""
    issued = database.rows(
        connection,
        "engine/vouchers/issue.sql",
        code=new_code(),
        message_id=message_id,
        customer_id=customer_id,
        percent_off=offer.percent_off,
        valid_from=starts_at,
        valid_until=starts_at + timedelta(days=offer.valid_days),
    )[0]
    return IssuedVoucher(issued.code, issued.percent_off, issued.valid_until.astimezone(starts_at.tzinfo))


def new_code() -> str:
    """Ten letters nobody can guess (47 bits), in two groups of five."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(10))
    return f"{letters[:5]}-{letters[5:]}"
