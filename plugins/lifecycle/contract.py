"""What a shop hands over: the tables and columns of the import contract, declared once.

The CSV import, the documentation and `lifecycle check` read this; `schema/0002_imported.sql` and the views `source.*`
and `shop.*` are held to it by tests. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal[
    "id",
    "text",
    "time",
    "date",
    "amount",
    "rate",
    "integer",
    "boolean",
    "json_list",
    "json_object",
    "email",
    "phone",
    "zone",
    "locale",
    "currency",
]

_SQL_TYPES: dict[str, str] = {
    "time": "timestamp with time zone",
    "date": "date",
    "amount": "bigint",
    "rate": "bigint",
    "integer": "integer",
    "boolean": "boolean",
    "json_list": "jsonb",
    "json_object": "jsonb",
}

MEANINGS: dict[Kind, str] = {
    "id": "text without spaces around it, at most 200 characters",
    "text": "any text",
    "time": "ISO 8601 with offset: 2026-02-01T09:30:00+00:00",
    "date": "ISO 8601: 1990-02-28",
    "amount": "decimal with at most 2 decimals, 22.20; kept as hundredths in every currency: 1200 JPY is 120000",
    "rate": "decimal with at most 6 decimals, rounded half up to hundredths",
    "integer": "whole number",
    "boolean": "true or false, also yes/no, t/f, y/n, 1/0",
    "json_list": "JSON list",
    "json_object": "JSON object",
    "email": "one bare address",
    "phone": "E.164 (+447700900123), or national when the customer's country is known; kept as E.164",
    "zone": "IANA name: Europe/London",
    "locale": "BCP 47: en, ja, pt-BR",
    "currency": "three capital letters: GBP",
}


@dataclass(frozen=True)
class Column:
    """A column of a file: its name, what its values mean, and whether each row must have one."""

    name: str
    kind: Kind
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    # A plan for later rather than something that happened; it does not count as the newest fact.
    planned: bool = False
    # It joined the contract later: a mapping without it gives null.
    may_be_missing: bool = False

    @property
    def stored_name(self) -> str:
        """Its name in the tables and views: money says its unit."""
        return f"{self.name}_cents" if self.kind in ("amount", "rate") else self.name

    @property
    def sql_type(self) -> str:
        """Its type in the tables and views, as Postgres spells it."""
        return _SQL_TYPES.get(self.kind, "text")


@dataclass(frozen=True)
class Table:
    """A file of the contract and the table it is loaded into."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    # Column -> table whose key it must be found in.
    references: tuple[tuple[str, str], ...] = ()
    required: bool = False
    # The time from which on a row is known; rows of a table without one are known with the row they belong to.
    known_from: str = ""

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by their name in the file."""
        return {column.name: column for column in self.columns}

    @property
    def file_name(self) -> str:
        """The name of the file; `.gz` may follow."""
        return f"{self.name}.csv"


def _needs(name: str, kind: Kind, minimum: int | None = None, maximum: int | None = None) -> Column:
    return Column(name, kind, required=True, minimum=minimum, maximum=maximum)


CUSTOMERS = Table(
    "customers",
    (
        _needs("customer_id", "id"),
        _needs("signed_up_at", "time"),
        Column("email", "email"),
        Column("phone", "phone"),
        Column("first_name", "text"),
        Column("last_name", "text"),
        Column("country", "text"),
        Column("city", "text"),
        Column("locale", "locale"),
        Column("timezone", "zone"),
        Column("birthday", "date"),
        Column("email_opt_in_at", "time"),
        Column("sms_opt_in_at", "time"),
        Column("referred_by", "id"),
    ),
    key=("customer_id",),
    references=(("referred_by", "customers"),),
    required=True,
    known_from="signed_up_at",
)

PRODUCTS = Table(
    "products",
    (
        _needs("product_id", "id"),
        _needs("name", "text"),
        Column("category", "text"),
        Column("line", "text"),
        Column("url", "text"),
        Column("image_url", "text"),
        Column("price", "rate", minimum=0),
        Column("currency", "currency"),
        Column("launched_at", "time", planned=True),
        Column("in_stock", "boolean"),
    ),
    key=("product_id",),
    known_from="launched_at",
)

ORDERS = Table(
    "orders",
    (
        _needs("order_id", "id"),
        _needs("customer_id", "id"),
        _needs("ordered_at", "time"),
        _needs("total", "amount", minimum=0),
        _needs("currency", "currency"),
        Column("cancelled_at", "time"),
        Column("shipped_at", "time"),
        Column("delivered_at", "time"),
        Column("referral_code", "text", may_be_missing=True),
        Column("subscription_id", "id", may_be_missing=True),
    ),
    key=("order_id",),
    references=(("customer_id", "customers"),),
    required=True,
    known_from="ordered_at",
)

ORDER_ITEMS = Table(
    "order_items",
    (
        _needs("order_id", "id"),
        _needs("line", "integer", minimum=0),
        _needs("product_id", "id"),
        _needs("quantity", "integer", minimum=0),
        _needs("unit_price", "rate"),
    ),
    key=("order_id", "line"),
    references=(("order_id", "orders"),),
)

REFUNDS = Table(
    "refunds",
    (
        _needs("refund_id", "id"),
        _needs("customer_id", "id"),
        _needs("refunded_at", "time"),
        _needs("amount", "amount", minimum=0),
        _needs("currency", "currency"),
        Column("order_id", "id"),
    ),
    key=("refund_id",),
    references=(("customer_id", "customers"), ("order_id", "orders")),
    known_from="refunded_at",
)

REVIEWS = Table(
    "reviews",
    (
        _needs("review_id", "id"),
        _needs("customer_id", "id"),
        _needs("order_id", "id"),
        _needs("rating", "integer", minimum=1, maximum=5),
        _needs("reviewed_at", "time"),
        Column("title", "text"),
        Column("body", "text"),
    ),
    key=("review_id",),
    references=(("customer_id", "customers"), ("order_id", "orders")),
    known_from="reviewed_at",
)

PAGE_VIEWS = Table(
    "page_views",
    (
        _needs("viewed_at", "time"),
        _needs("url", "text"),
        Column("customer_id", "id"),
        Column("visitor_id", "id"),
        Column("product_id", "id"),
        Column("utm_source", "text"),
        Column("utm_medium", "text"),
        Column("utm_campaign", "text"),
        Column("utm_term", "text"),
    ),
    references=(("customer_id", "customers"),),
    known_from="viewed_at",
)

CARTS = Table(
    "carts",
    (
        _needs("cart_id", "id"),
        _needs("customer_id", "id"),
        _needs("updated_at", "time"),
        _needs("items", "json_list"),
        Column("checked_out_at", "time"),
    ),
    key=("cart_id",),
    references=(("customer_id", "customers"),),
    known_from="updated_at",
)

DEPENDANTS = Table(
    "dependants",
    (_needs("customer_id", "id"), _needs("name", "text"), _needs("birthday", "date")),
    key=("customer_id", "name"),
    references=(("customer_id", "customers"),),
)

EVENTS = Table(
    "events",
    (
        _needs("event_id", "id"),
        _needs("customer_id", "id"),
        _needs("name", "text"),
        _needs("occurred_at", "time"),
        Column("properties", "json_object"),
    ),
    key=("event_id",),
    references=(("customer_id", "customers"),),
    known_from="occurred_at",
)

# In the order they are loaded: whoever is referred to comes first.
TABLES: tuple[Table, ...] = (
    CUSTOMERS,
    PRODUCTS,
    ORDERS,
    ORDER_ITEMS,
    REFUNDS,
    REVIEWS,
    PAGE_VIEWS,
    CARTS,
    DEPENDANTS,
    EVENTS,
)
