"""Tiers: in which one every customer was from when until when, told from the points ledger alone (L-08).

Nothing is kept that the ledger does not say: whoever's points changed is told anew, so days may be accrued in any order.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.programme import Programme, Reward


class Status(NamedTuple):
    """The tier somebody is in and what it gives; `until` is when it ends if nothing more is earned."""

    tier: str
    since: datetime
    until: datetime | None
    percent_off: int | None
    free_shipping: bool
    draw_entries: int

    @property
    def benefits(self) -> str:
        """What it gives, in words; empty when it is an honour alone."""
        gives = [f"{self.percent_off} % off"] if self.percent_off else []
        gives += ["free shipping"] if self.free_shipping else []
        if self.draw_entries:
            gives.append(f"{self.draw_entries} draw {'entry' if self.draw_entries == 1 else 'entries'}")
        return ", ".join(gives)


def move(connection: Connection, programme: Programme) -> int:
    """Tell the tiers of those anew for whom facts are staged; returns how many changes that is.

    When the Dag file declares other tiers than the last time, everybody's are told anew, those of the past included. The
    rewards that SQL reads are brought up to date as well.
    """
    database.run(connection, "engine/tiers/lock.sql", programme=programme.name)
    _declare_rewards(connection, programme)
    is_new = _declare_levels(connection, programme)
    if not is_new and not programme.tiers:
        return 0
    touch = "engine/tiers/touch_everybody.sql" if is_new else "engine/tiers/touch_staged.sql"
    return _tell(connection, programme.name, touch)


def rebuild(connection: Connection, programme: Programme) -> int:
    """Tell everybody's tiers anew, by the tiers that were declared when the ledger was last written; returns how many changes."""
    database.run(connection, "engine/tiers/lock.sql", programme=programme.name)
    return _tell(connection, programme.name, "engine/tiers/touch_everybody.sql")


def of_customer(connection: Connection, customer_id: str, at: datetime) -> Status | None:
    """The tier a customer is in at an instant, if any."""
    found = database.rows(connection, "engine/tiers/of_customer.sql", customer_id=customer_id, at=at)
    return Status(*found[0]) if found else None


def _tell(connection: Connection, programme_name: str, touch: str) -> int:
    levels = database.rows(connection, "engine/tiers/levels.sql", programme=programme_name)
    database.run(connection, "engine/tiers/give_memory.sql")
    database.run(connection, "engine/tiers/create_touched.sql")
    database.run(connection, touch)
    database.run(connection, "engine/tiers/analyze_touched.sql")
    ((moved,),) = database.rows(
        connection,
        "engine/tiers/move.sql",
        programme=programme_name,
        tiers=[level.tier for level in levels],
        point_steps=[level.from_points for level in levels if level.from_points is not None],
        spend_steps=[level.from_spend_cents for level in levels if level.from_spend_cents is not None],
        tier_days=levels[0].tier_days if levels else 0,
    )
    return moved


def _declare_levels(connection: Connection, programme: Programme) -> bool:
    """Keep the tiers that the Dag file declares for SQL; returns whether they are others than before."""
    declared = [
        (
            tier.name,
            place,
            tier.from_points,
            tier.from_spend_cents,
            programme.tier_days,
            tier.percent_off,
            tier.free_shipping,
            tier.draw_entries,
        )
        for place, tier in enumerate(programme.tiers, start=1)
    ]
    named = {"programme": programme.name}
    if [tuple(row) for row in database.rows(connection, "engine/tiers/levels.sql", **named)] == declared:
        return False
    database.run(connection, "engine/tiers/drop_levels.sql", **named)
    columns = ("tiers", "places", "from_points", "from_spend_cents", "tier_days", "percents_off", "free_shipping")
    database.run(
        connection, "engine/tiers/keep_levels.sql", **named, **_by_column((*columns, "draw_entries"), declared)
    )
    return True


def _declare_rewards(connection: Connection, programme: Programme) -> None:
    """Keep the rewards that the Dag file declares for SQL."""
    declared = sorted((_reward_row(reward) for reward in programme.rewards), key=lambda row: row[0])
    named = {"programme": programme.name}
    known = [tuple(row) for row in database.rows(connection, "engine/rewards/known.sql", **named)]
    if sorted(known, key=lambda row: row[0]) == declared:
        return
    database.run(connection, "engine/rewards/drop.sql", **named)
    columns = ("rewards", "points", "percents_off", "product_ids", "charities")
    database.run(connection, "engine/rewards/keep.sql", **named, **_by_column(columns, declared))


def _reward_row(reward: Reward) -> tuple[Any, ...]:
    percent_off = reward.voucher.percent_off if reward.voucher else None
    return reward.name, reward.points, percent_off, reward.product or None, reward.charity or None


def _by_column(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows turned into one list per column, as `unnest` takes them."""
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
