"""Predicates: what a segment asks about a person, one condition at a time, as statements that answer for one customer.

The file is taken apart, never changed: each select of it becomes a statement that looks the customer's rows up and says
which of its conditions hold for the row that passes most of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

# Text of people is never shown; ids and words of our own say nothing about where somebody lives or what their name is.
_SHOWABLE_TEXT = {
    "anchor", "kind", "step", "journey", "channel", "send_state", "reason", "exit_reason", "currency", "country", "locale",
    "timezone", "category", "line",
}  # fmt: skip


@dataclass(frozen=True)
class Operand:
    """A value that a condition compares, as its column in the answer; text is shown where `is_showable`."""

    label: str
    column: str
    is_showable: bool


@dataclass(frozen=True)
class Predicate:
    """One condition of a select: its text, its line in the file, and the columns of the answer that speak of it."""

    text: str
    line: int | None
    column: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Part:
    """One select of a file: `name` of its CTE (empty for the outer one), the rows it reads, and the statement to ask.

    The statement answers one row at most: the columns of the predicates and operands for the customer's best row,
    `rows_read`, and `<predicate>_rows` for how many of these rows a predicate holds on its own.
    """

    name: str
    reads: str
    predicates: tuple[Predicate, ...]
    query: str


def parts(text: str, customer_id: str) -> list[Part]:
    """The selects of a checked segment that speak of single customers, in the order of the file.

    Selects without a column `customer_id`, and those that group by something else, are left out.
    """
    statement = _parsed(text)
    found = []
    for name, select, common in _selects(statement):
        pinned = _pinned(select, customer_id)
        if pinned is not None:
            found += [
                part
                for part in (_conditions(name, select, common, pinned), _having(name, select, common, pinned))
                if part
            ]
    return found


def for_one_customer(text: str, customer_id: str, columns: tuple[str, ...] = ("anchor",)) -> str:
    """The file narrowed down to one customer, in a form that lets Postgres look them up instead of everybody."""
    from sqlglot import exp

    statement = _parsed(text)
    _inline(statement.ctes)
    everybody = exp.Subquery(this=statement, alias=exp.TableAlias(this=exp.to_identifier("segment")))
    asked = exp.EQ(this=exp.column("customer_id", "segment"), expression=exp.Literal.string(customer_id))
    found = exp.select(*(exp.column(name, "segment") for name in columns)).from_(everybody).where(asked)
    return _sql(found)


def _parsed(text: str) -> exp.Query:
    import sqlglot

    statement: Any = sqlglot.parse_one(text, dialect="postgres")
    return statement


def _sql(node: Any) -> str:
    return node.sql(dialect="postgres", comments=False, normalize_functions=False)


def _shown(node: Any) -> str:
    """A piece of the file in the small letters it was written in."""
    pieces = re.split(
        r"('(?:[^']|'')*'|\"[^\"]*\")", re.sub(r"INTERVAL '[^']*'", lambda said: said[0].lower(), _sql(node))
    )
    return "".join(piece if number % 2 else piece.lower() for number, piece in enumerate(pieces))


def _inline(ctes: list[Any]) -> None:
    """Have Postgres look into CTEs instead of computing them for everybody first; the rows are the same."""
    from sqlglot import exp

    for cte in ctes:
        is_recursive = isinstance(cte.parent, exp.With) and cte.parent.recursive
        if not is_recursive:
            cte.set("materialized", False)


def _selects(
    query: Any, name: str = "", common: tuple[Any, ...] = ()
) -> Iterator[tuple[str, exp.Select, tuple[Any, ...]]]:
    """Every select that may speak of customers, with the CTEs it can see: CTEs first, then derived tables, then it."""
    from sqlglot import exp

    for cte in query.ctes:
        yield from _selects(cte.this, cte.alias, common)
        common = (*common, cte)
    if isinstance(query, exp.SetOperation):
        yield from _selects(query.this, name, common)
        yield from _selects(query.expression, name, common)
    elif isinstance(query, exp.Subquery):
        yield from _selects(query.this, name, common)
    elif isinstance(query, exp.Select):
        for table in _tables(query):
            if isinstance(table, exp.Subquery):
                yield from _selects(table.this, table.alias, common)
        yield name, query, common


def _tables(select: exp.Select) -> list[Any]:
    first = select.args.get("from_")
    return [*([first.this] if first else []), *(join.this for join in select.args.get("joins") or [])]


def _pinned(select: exp.Select, customer_id: str) -> Any | None:
    """The condition that leaves one customer's rows, or None when the select does not say whose they are."""
    from sqlglot import exp

    for projection in select.expressions:
        if projection.alias_or_name.lower() == "customer_id" and select.args.get("from_"):
            asked = projection.unalias()
            if asked.find(exp.AggFunc, exp.Window, exp.Query):
                return None
            return exp.EQ(this=_wrapped(asked), expression=exp.Literal.string(customer_id))
    return None


def _wrapped(node: Any) -> Any:
    from sqlglot import exp

    return node.copy() if isinstance(node, (exp.Column, exp.Paren)) else exp.Paren(this=node.copy())


def _conditions(name: str, select: exp.Select, common: tuple[Any, ...], pinned: Any) -> Part | None:
    """The joins and the where clause of a select, asked row by row."""
    from sqlglot import exp

    asked: list[tuple[Any, str, Any]] = []
    joins = []
    for join in select.args.get("joins") or []:
        kept, condition = _loosened(join)
        joins.append(kept)
        if condition is not None:
            asked.append((condition, _join_text(join), join))
    where = select.args.get("where")
    asked += [(node, _shown(node), node) for node in _conjuncts(where.this)] if where else []
    if not asked:
        return None
    base = exp.Select()
    base.set("from_", select.args["from_"].copy())
    base.set("joins", joins)
    base.set("where", exp.Where(this=pinned.copy()))
    return _part(name, select, common, asked, base)


def _having(name: str, select: exp.Select, common: tuple[Any, ...], pinned: Any) -> Part | None:
    """The having clause of a select, asked group by group, of the rows that pass everything before it."""
    from sqlglot import exp

    having = select.args.get("having")
    if not having:
        return None
    base = exp.Select()
    for key in ("from_", "group"):
        if select.args.get(key):
            base.set(key, select.args[key].copy())
    base.set("joins", [join.copy() for join in select.args.get("joins") or []])
    base.set("where", select.args["where"].copy() if select.args.get("where") else None)
    base = base.where(pinned.copy(), copy=False)
    return _part(name, select, common, [(node, _shown(node), node) for node in _conjuncts(having.this)], base)


def _loosened(join: Any) -> tuple[Any, Any]:
    """A join that keeps rows without a partner, and the condition that there is one; None where it always kept them."""
    from sqlglot import exp

    kept = join.copy()
    alias = join.this.alias_or_name
    if join.side or join.args.get("method") or not alias:
        return kept, None
    kept.set("kind", None)
    kept.set("side", "LEFT")
    if not join.args.get("on") and not join.args.get("using"):
        kept.set("on", exp.true())
    found = exp.func("to_jsonb", exp.column(alias), dialect="postgres")
    return kept, exp.Not(this=exp.Is(this=found, expression=exp.null()))


def _join_text(join: Any) -> str:
    return _shown(join).strip().lstrip(",").strip()


def _conjuncts(condition: Any) -> Iterator[Any]:
    from sqlglot import exp

    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    else:
        yield condition


def _part(name: str, select: exp.Select, common: tuple[Any, ...], asked: list[tuple[Any, str, Any]], base: Any) -> Part:
    from sqlglot import exp

    predicates = []
    for number, (condition, text, node) in enumerate(asked):
        column = f"p{number}"
        base.select(exp.alias_(exp.Paren(this=condition.copy()), column, copy=False), copy=False)
        operands = []
        # A join is asked by a whole row, which is nobody's to see.
        for place, (label, value) in enumerate([] if isinstance(node, exp.Join) else _operands(condition)):
            operand = Operand(label, f"{column}_{place}", _is_showable(value))
            operands.append(operand)
            base.select(exp.alias_(exp.Paren(this=value.copy()), operand.column, copy=False), copy=False)
        predicates.append(Predicate(text, _line(node), column, tuple(operands)))
    reads = ", ".join(_sql(table) if isinstance(table, exp.Table) else table.alias for table in _tables(select)[:1])
    return Part(name, reads.split(" AS ")[0], tuple(predicates), _sql(_best_row(base, predicates, common)))


def _best_row(base: Any, predicates: list[Predicate], common: tuple[Any, ...]) -> Any:
    """The row that passes most conditions, the newest of several, and how many rows pass each."""
    from sqlglot import exp

    columns = ["count(*) over () as rows_read"]
    passed = []
    for predicate in predicates:
        name = predicate.column
        columns += [f"asked.{name}", f"count(*) filter (where asked.{name}) over () as {name}_rows"]
        passed.append(f"coalesce(cast(asked.{name} as integer), 0)")
    operands = [operand.column for predicate in predicates for operand in predicate.operands]
    for name in operands:
        columns += [f"cast(asked.{name} as text) as {name}", f"cast(pg_typeof(asked.{name}) as text) as {name}_type"]
    newest = [f"cast(asked.{name} as text) desc nulls last" for name in operands]
    found = exp.select(*columns, dialect="postgres").from_(base.subquery("asked", copy=False))
    found = found.order_by(" + ".join(passed) + " desc", *newest, dialect="postgres").limit(1)
    if common:
        ctes = [cte.copy() for cte in common]
        is_recursive = any(isinstance(cte.parent, exp.With) and cte.parent.recursive for cte in common)
        found.set("with_", exp.With(expressions=ctes, recursive=is_recursive))
        _inline(ctes)
    return found


def _operands(condition: Any) -> list[tuple[str, Any]]:
    """What a condition compares: both sides that are not written down in it, what a subquery found, else its columns."""
    from sqlglot import exp

    inner = condition.this if isinstance(condition, exp.Not) else condition
    inner = inner.unnest()
    if isinstance(inner, exp.Exists):
        return _found_by(inner.this)
    if isinstance(inner, exp.Between):
        sides = [inner.this, inner.args["low"], inner.args["high"]]
    elif isinstance(inner, exp.In):
        sides = [inner.this]
    elif isinstance(inner, exp.Binary) and isinstance(inner, exp.Predicate):
        sides = [inner.this, inner.expression]
    else:
        sides = list(inner.find_all(exp.Column)) if not inner.find(exp.Query) else []
    labelled = {_shown(side): side for side in sides if not _is_written_down(side) and not side.find(exp.Query)}
    return list(labelled.items())


def _is_written_down(side: Any) -> bool:
    from sqlglot import exp

    # A value that stands in the text of the condition already. `as_of()` does not: its value says which day it was.
    return not side.find(exp.Column, exp.Func) or isinstance(side, (exp.Boolean, exp.Null))


def _found_by(query: Any) -> list[tuple[str, Any]]:
    """How many rows an exists finds, and the newest of what it compares."""
    from sqlglot import exp

    count = exp.select(exp.Count(this=exp.Star())).from_(query.copy().subquery("found")).subquery()
    found: list[tuple[str, Any]] = [("rows found", count)]
    where = query.args.get("where") if isinstance(query, exp.Select) else None
    if where is None or query.args.get("group") or query.args.get("limit"):
        return found
    own = {table.alias_or_name for table in _tables(query)}
    for node in _conjuncts(where.this):
        compared = node.this if isinstance(node, (exp.GT, exp.GTE, exp.LT, exp.LTE)) else None
        if isinstance(compared, exp.Column) and compared.table in own:
            newest = query.copy()
            newest.set("expressions", [exp.Max(this=compared.copy())])
            newest.set("distinct", None)
            newest.set("order", None)
            return [*found, (f"newest {_shown(compared)}", newest.subquery())]
    return found


def _is_showable(value: Any) -> bool:
    from sqlglot import exp

    names = [column.name.lower() for column in value.find_all(exp.Column)]
    return all(name in _SHOWABLE_TEXT or name.endswith("_id") for name in names)


def _line(node: Any) -> int | None:
    lines = [part.meta["line"] for part in node.walk() if "line" in part.meta]
    return min(lines) if lines else None
