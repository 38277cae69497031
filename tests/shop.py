"""Fills the imported tables of a shop, one fact per call, so that a test reads like a story."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


class Shop:
    """A shop under construction. Times without a zone are UTC; a bare day means noon of it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._facts = 0

    def customer(
        self,
        customer_id: str,
        *,
        phone: str | None = None,
        email: str | None = None,
        sms_consent: bool = True,
        email_consent: bool = True,
        **columns: Any,
    ) -> str:
        """A customer who signed up long ago and, unless said otherwise, agreed to everything."""
        number = sum(ord(letter) * 31**place for place, letter in enumerate(customer_id)) % 9000
        values = {
            "customer_id": customer_id,
            "signed_up_at": _LONG_AGO,
            "phone": phone or f"+33639980{number:04d}"[:12],
            "email": email or f"{customer_id}@example.com",
            "sms_opt_in_at": _LONG_AGO if sms_consent else None,
            "email_opt_in_at": _LONG_AGO if email_consent else None,
            **columns,
        }
        self._insert("customers", values)
        return customer_id

    def order(self, customer_id: str, ordered: date | datetime, **columns: Any) -> str:
        """An order of 10.00 GBP; returns its id."""
        values = {
            "order_id": self._next("order"),
            "customer_id": customer_id,
            "ordered_at": noon(ordered),
            "total_cents": 1000,
            "currency": "GBP",
            **columns,
        }
        self._insert("orders", values)
        return values["order_id"]

    def visit(self, customer_id: str, viewed: date | datetime, **columns: Any) -> None:
        """A page view."""
        values = {"viewed_at": noon(viewed), "url": "https://shop.example/", "customer_id": customer_id}
        self._insert("page_views", {**values, **columns})

    def product(self, product_id: str, name: str | None = None, **columns: Any) -> str:
        """A product with a page of its own, unless said otherwise; it is named like its id."""
        values = {"product_id": product_id, "name": name or product_id, "url": f"https://shop.example/p/{product_id}"}
        self._insert("products", {**values, **columns})
        return product_id

    def item(self, order_id: str, product_id: str, **columns: Any) -> None:
        """One piece of a product, as the next line of an order."""
        self._facts += 1
        values = {"order_id": order_id, "line": self._facts, "product_id": product_id, "quantity": 1}
        self._insert("order_items", {**values, "unit_price_cents": 1000, **columns})

    def review(self, order_id: str, customer_id: str, reviewed: date | datetime, rating: int, **columns: Any) -> None:
        """What a customer said about an order."""
        values = {"review_id": self._next("review"), "order_id": order_id, "customer_id": customer_id}
        self._insert("reviews", {"reviewed_at": noon(reviewed), "rating": rating, **values, **columns})

    def refund(
        self, order_id: str | None, customer_id: str, refunded: date | datetime, amount_cents: int, **columns: Any
    ) -> None:
        """Money given back, as a rule for an order, in GBP."""
        values = {"order_id": order_id, "customer_id": customer_id, "amount_cents": amount_cents, "currency": "GBP"}
        refund = {"refund_id": self._next("refund"), "refunded_at": noon(refunded), **values, **columns}
        self._insert("refunds", refund)

    def dependant(self, customer_id: str, name: str, birthday: date) -> None:
        """A child of a customer, or somebody else they buy for."""
        self._insert("dependants", {"customer_id": customer_id, "name": name, "birthday": birthday})

    def event(self, customer_id: str, name: str, occurred: date | datetime, properties: Any = None) -> None:
        """Any other fact."""
        values = {"customer_id": customer_id, "name": name, "occurred_at": noon(occurred)}
        self._insert("events", {"event_id": self._next("event"), **values, "properties": Jsonb(properties or {})})

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        from psycopg import sql

        statement = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("imported", table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        self.connection.execute(statement, list(values.values()))

    def _next(self, noun: str) -> str:
        self._facts += 1
        return f"{noun}-{self._facts:04d}"


def noon(moment: date | datetime) -> datetime:
    """Noon UTC of a day; an instant stays what it is."""
    if isinstance(moment, datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return datetime(moment.year, moment.month, moment.day, 12, tzinfo=timezone.utc)
