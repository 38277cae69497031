"""Exactness: whether a file gives the same people for a past day, whenever it is asked (architecture §4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

NOT_AS_OF: dict[str, frozenset[str]] = {
    "customers": frozenset(
        {"email", "phone", "first_name", "last_name", "country", "city", "locale", "timezone", "birthday"}
    ),
    "products": frozenset({"name", "category", "line", "url", "image_url", "price_cents", "currency", "in_stock"}),
    "carts": frozenset({"items", "updated_at"}),
    "dependants": frozenset({"name", "birthday"}),
    "engagements": frozenset({"properties"}),
    "rewards": frozenset({"points", "percent_off", "product_id", "charity"}),
    "tier_levels": frozenset(
        {
            "place",
            "from_points",
            "from_spend_cents",
            "tier_days",
            "percent_off",
            "free_shipping",
            "draw_entries",
        }
    ),
}
"""By view of `shop`: the columns that show today's value and not the one of `as_of()`. This is the one list of them."""


@lru_cache(maxsize=64)
def columns_of_today(text: str) -> tuple[str, ...]:
    """The columns of a checked statement that are not point-in-time, such as `shop.customers.city`; none when exact.

    A column without the name of its table counts for every view it may come from.
    """
    import sqlglot
    from sqlglot.optimizer.scope import traverse_scope

    found: set[str] = set()
    for scope in traverse_scope(sqlglot.parse_one(text, dialect="postgres")):
        for column in scope.columns:
            for view in _views_of(scope, column):
                if column.name.lower() in NOT_AS_OF.get(view, ()):
                    found.add(f"shop.{view}.{column.name.lower()}")
    return tuple(sorted(found))


def _views_of(scope: Any, column: Any) -> list[str]:
    """The views a column may come from."""
    from sqlglot import exp

    named = {name.lower(): source for name, source in scope.sources.items()}
    sources = [named.get(column.table.lower())] if column.table else list(named.values())
    return [source.name.lower() for source in sources if isinstance(source, exp.Table)]
