"""Customers: whether a person with that id is known at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle import database
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def require_known(connection: Connection, customer_id: str) -> None:
    """Refuse an id that nobody has, such as a mistyped one.

    Raises:
        LifecycleError: neither the shop, nor a message, nor the points ledger knows it.
    """
    (person,) = database.rows(connection, "engine/customers/is_known.sql", customer_id=customer_id)
    if not person.is_known:
        raise LifecycleError(
            f"There is no customer {customer_id!r}", hint="Give the customer_id, as shop.customers has it"
        )
