"""Points: what expiry and clamped refunds take from a customer, told from all that happened to them.

Pure: standard library only. The same facts give the same answer in whatever order they became known, so that days may be
accrued forward, backward or twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

Kind = Literal["earned", "reversed", "redeemed", "expired", "adjusted"]
Policy = Literal["allow_debt", "clamp"]

# Of what happened in the same instant, what gives comes first.
_ORDER: dict[str, int] = {"earned": 0, "adjusted": 1, "redeemed": 2, "reversed": 3, "expired": 4}


class Happened(NamedTuple):
    """A fact of a customer with what it asks for and what it got so far, all revisions together.

    What takes points has negative numbers. `policy` is that of a reversal; `expires_at` is that of what was earned.
    """

    fact: str
    kind: Kind
    occurred_at: datetime
    requested: int
    points: int
    policy: Policy | None = None
    expires_at: datetime | None = None


@dataclass
class _Lot:
    """Points that were earned together and expire together."""

    fact: str
    expires_at: datetime | None
    left: int


def _end_of(lot: _Lot) -> datetime:
    assert lot.expires_at
    return lot.expires_at


class _Moment(NamedTuple):
    """One thing after the other: a fact, or the end of the lot of that fact."""

    at: datetime
    kind: str
    fact: Happened


def expiry_fact(lot_fact: str) -> str:
    """The fact that the points of another fact expired."""
    return f"expired/{lot_fact}"


def settled(history: Iterable[Happened], as_of: datetime) -> dict[str, int]:
    """What every clamped reversal and every expired lot takes, by fact: zero or less.

    A reversal under `clamp`, and an expiry, take no more than there is, and leave what was redeemed later on, because that
    is gone. Points are used up first in, first out: the ones that expire first go first; what is earned in debt pays it.
    """
    known = list(history)
    swept = [one.occurred_at for one in known if one.kind == "expired"]
    moments = _moments([one for one in known if one.kind != "expired"], max([as_of, *swept]))
    needs = _needs(moments)
    taken: dict[str, int] = {}
    lots: list[_Lot] = []
    balance = 0
    for moment, need in zip(moments, needs, strict=True):
        free = max(0, balance - need)
        if moment.kind == "expired":
            lot = next(lot for lot in lots if lot.fact == moment.fact.fact)
            change = -min(lot.left, free)
            lot.left += change
            taken[expiry_fact(lot.fact)] = change
        elif _gives_way(moment.fact):
            change = -min(-moment.fact.requested, free)
            _use_up(lots, -change)
            taken[moment.fact.fact] = change
        else:
            change = moment.fact.points
            _use_up(lots, -change)
            if change > 0:
                lots.append(_Lot(moment.fact.fact, moment.fact.expires_at, max(0, change - max(0, -balance))))
        balance += change
    return taken


def _moments(known: list[Happened], as_of: datetime) -> list[_Moment]:
    moments = [_Moment(one.occurred_at, one.kind, one) for one in known]
    moments += [
        _Moment(one.expires_at, "expired", one)
        for one in known
        if one.kind == "earned" and one.expires_at and one.expires_at <= as_of
    ]
    return sorted(moments, key=lambda moment: (moment.at, _ORDER[moment.kind], moment.fact.fact))


def _gives_way(fact: Happened) -> bool:
    return fact.kind == "reversed" and fact.policy == "clamp"


def _needs(moments: list[_Moment]) -> list[int]:
    """How much has to be left after each moment, for what was redeemed or taken by hand later."""
    needs: list[int] = []
    need = 0
    for moment in reversed(moments):
        needs.append(need)
        fact = moment.fact
        if moment.kind in ("earned", "redeemed", "adjusted"):
            need = max(0, need - fact.points)
    return needs[::-1]


def _use_up(lots: list[_Lot], points: int) -> None:
    """Take points from the lots that expire first; those that never expire go last."""
    expiring = sorted((lot for lot in lots if lot.expires_at), key=_end_of)
    for lot in [*expiring, *(lot for lot in lots if not lot.expires_at)]:
        used = max(0, min(lot.left, points))
        lot.left -= used
        points -= used
