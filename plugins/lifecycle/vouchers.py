"""Vouchers: single-use codes that a message carries."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

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

    def dated_in(self, zone: tzinfo | None) -> IssuedVoucher:
        """The same voucher with its last day named as people of a zone name it."""
        return replace(self, expires_at=self.expires_at.astimezone(zone))


class Bearer(NamedTuple):
    """A message that is to carry a voucher, valid from `starts_at` on."""

    message_id: str
    customer_id: str
    starts_at: datetime


def issue(connection: Connection, offer: Voucher, bearers: list[Bearer]) -> dict[str, IssuedVoucher]:
    """Issue a voucher for each message, or find the one it already has; by message id."""
    database.run(
        connection,
        "engine/vouchers/issue.sql",
        codes=[new_code() for _ in bearers],
        message_ids=[bearer.message_id for bearer in bearers],
        customer_ids=[bearer.customer_id for bearer in bearers],
        valid_froms=[bearer.starts_at for bearer in bearers],
        percent_off=offer.percent_off,
        valid_days=offer.valid_days,
    )
    return of_messages(connection, [bearer.message_id for bearer in bearers])


def of_messages(connection: Connection, message_ids: list[str]) -> dict[str, IssuedVoucher]:
    """The vouchers that messages carry, by message id."""
    found = database.rows(connection, "engine/vouchers/of_messages.sql", message_ids=message_ids)
    return {str(row.message_id): IssuedVoucher(row.code, row.percent_off, row.valid_until) for row in found}


def new_code() -> str:
    """Ten letters nobody can guess (47 bits), in two groups of five."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(10))
    return f"{letters[:5]}-{letters[5:]}"
