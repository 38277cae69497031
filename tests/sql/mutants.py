"""Small mistakes, put into an analyst's file one at a time, that its own cases must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import sqlglot
from sqlglot import exp

# A node of sqlglot's tree, whose types its stubs do not export.
Node: TypeAlias = Any

# The mistake beside it on the keyboard: a bound that takes in its own edge, or no longer does.
_EDGES: dict[type[Node], type[Node]] = {
    exp.LT: exp.LTE, exp.LTE: exp.LT, exp.GT: exp.GTE, exp.GTE: exp.GT, exp.Min: exp.Max, exp.Max: exp.Min,
}  # fmt: skip


class Mutant(NamedTuple):
    """A file with one mistake; `change` says which, in the words of the file."""

    change: str
    sql: str


def mutants(text: str) -> list[Mutant]:
    """Every file that differs from this one by one mistake.

    Each number is one more or one less, each bound moves its edge, each first becomes a last, each sort key turns round,
    `distinct` goes, and so does each predicate of every `where`, `on` and `exists`.
    """
    made = []
    statement = sqlglot.parse_one(text, dialect="postgres")
    for place, node in enumerate(statement.walk()):
        for mistake in _mistakes(node):
            copy = statement.copy()
            twin = next(found for number, found in enumerate(copy.walk()) if number == place)
            change = mistake(twin)
            made.append(Mutant(change, copy.sql(dialect="postgres", comments=False, normalize_functions=False)))
    return made


def _mistakes(node: Node) -> Iterator[Callable[[Node], str]]:
    if isinstance(node, exp.Literal) and node.this.isdigit():
        yield lambda twin: _miscount(twin, 1)
        yield lambda twin: _miscount(twin, -1)
    if type(node) in _EDGES:
        yield _move_edge
    if isinstance(node, exp.Ordered):
        yield _turn_round
    if isinstance(node, exp.Distinct):
        yield _drop_distinct
    if _is_predicate(node):
        yield _drop_predicate


def _is_predicate(node: Node) -> bool:
    """Whether it is one of the conditions that `and`, `or`, `where`, `on` or `having` are made of."""
    if isinstance(node, (exp.And, exp.Or)):
        return False
    return isinstance(node.parent, (exp.And, exp.Or, exp.Where, exp.Having)) or (
        isinstance(node.parent, exp.Join) and node.arg_key == "on"
    )


def _miscount(literal: Node, by: int) -> str:
    around = literal.find_ancestor(exp.Predicate, exp.Limit, exp.Query)
    is_selected = around is None or isinstance(around, exp.Query)
    shown = literal if is_selected else around
    before = _words(shown)
    literal.set("this", str(int(literal.this) + by))
    return f"{'select ' if is_selected else ''}{before} -> {_words(shown)}"


def _move_edge(node: Node) -> str:
    before = _words(node)
    moved = _EDGES[type(node)](**node.args)
    node.replace(moved)
    return f"{before} -> {_words(moved)}"


def _turn_round(key: Node) -> str:
    before = _words(key)
    is_descending = bool(key.args.get("desc"))
    key.set("desc", not is_descending)
    # What Postgres does by itself, so that only the direction changes.
    key.set("nulls_first", not is_descending)
    return f"order by {before} -> {_words(key)}"


def _drop_distinct(node: Node) -> str:
    node.pop()
    return "without distinct"


def _drop_predicate(node: Node) -> str:
    dropped = f"without {_words(node)}"
    parent = node.parent
    if isinstance(parent, (exp.And, exp.Or)):
        parent.replace(parent.expression if node.arg_key == "this" else parent.this)
    else:
        node.replace(exp.true())
    return dropped


def _words(node: Node) -> str:
    return " ".join(node.sql(dialect="postgres", comments=False, normalize_functions=False).split())
