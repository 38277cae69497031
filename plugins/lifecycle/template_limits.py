"""Limits of templates: how much work one rendering may do, and how large what it makes may grow.

Jinja's sandbox keeps templates away from the machine, but not from its time and memory. So every round of a loop and
every call counts, and whatever would make a long text out of a short one is measured before it is made.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_BYTES = 200_000
"""How long what a template prints, or holds on the way, may be."""

MOST_ROUNDS = 10_000
"""How many rounds of loops and calls one rendering may take."""

_MOST_BITS = 4_096
_LARGEST_EXPONENT = 100
_LARGEST_ARGUMENT = 1_000
# `%1000000d` and `{:>1000000}` make a million letters out of ten.
_WIDE = re.compile(r"\d{4,}|\*")
_WIDENING = ("center", "indent", "wordwrap", "batch", "slice", "round", "tojson")

_spent = threading.local()


class TooMuchWorkError(SecurityError):
    """A template asks for more work or a larger text than any message needs; the text quotes no data."""


def start() -> None:
    """A rendering begins: nothing is spent yet."""
    _spent.rounds = 0


def require_small(value: Any) -> Any:
    """The value itself, unless it is a text too long for any message.

    Raises:
        TooMuchWorkError: it is.
    """
    if isinstance(value, str) and len(value) > MAX_BYTES:
        raise TooMuchWorkError(f"a text of more than {MAX_BYTES} letters")
    return value


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """The immutable sandbox, with a limit on work and size."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        del self.globals["lipsum"]
        self.filters["_counted"] = _counted
        self.filters["_measured"] = require_small
        self.filters["replace"] = _guarded(self.filters["replace"], _check_replace)
        self.filters["join"] = _guarded(self.filters["join"], _check_join)
        self.filters["format"] = _guarded(self.filters["format"], _check_format)
        for name in _WIDENING:
            self.filters[name] = _guarded(self.filters[name], _check_numbers)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute, unless the result would be too large."""
        _check_result(operator, left, right)
        return require_small(super().call_binop(context, operator, left, right))

    # Jinja's own name for the first parameters, so that a call may have an argument of any name.
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call, unless it is one call too many or makes something too large."""
        _spend()
        _check_method(__obj, args)
        return super().call(__context, __obj, *args, **kwargs)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Metering().visit(source), *args, **kwargs)


class _Metering(NodeTransformer):
    """Counts the rounds of loops, and measures what `~` glues together."""

    def visit_For(self, node: Any) -> Any:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_counted")
        return node

    def visit_Concat(self, node: Any) -> Any:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        return _filtered(node, "_measured")


def _filtered(node: Any, name: str) -> Any:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _spend() -> None:
    _spent.rounds = getattr(_spent, "rounds", 0) + 1
    if _spent.rounds > MOST_ROUNDS:
        raise TooMuchWorkError(f"more than {MOST_ROUNDS} rounds of loops and calls")


def _counted(things: Iterable[Any]) -> Iterator[Any]:
    for thing in things:
        _spend()
        yield thing


def _guarded(function: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    """A filter of Jinja that is asked first whether its result will be small."""
    passed = getattr(function, "jinja_pass_arg", None)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        check(*(args[1:] if passed else args), **kwargs)
        return require_small(function(*args, **kwargs))

    if passed:
        guarded.jinja_pass_arg = passed  # type: ignore[attr-defined]
    return guarded


def _check_result(operator: str, left: Any, right: Any) -> None:
    if operator == "**" and (_bits(left) > _MOST_BITS or not -_LARGEST_EXPONENT <= right <= _LARGEST_EXPONENT):
        raise TooMuchWorkError("a number that is too large")
    if operator == "*":
        _check_product(left, right)
    if operator == "%" and isinstance(left, str):
        _check_format(left)


def _check_product(left: Any, right: Any) -> None:
    for sized, times in ((left, right), (right, left)):
        if isinstance(times, int) and hasattr(sized, "__len__") and len(sized) * times > MAX_BYTES:
            raise TooMuchWorkError(f"a text or list of more than {MAX_BYTES} places")
    if _bits(left) + _bits(right) > _MOST_BITS:
        raise TooMuchWorkError("a number that is too large")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_format(pattern: Any, *_: Any, **__: Any) -> None:
    if _WIDE.search(str(pattern)):
        raise TooMuchWorkError("a format that pads")


def _check_numbers(_: Any, *args: Any, **kwargs: Any) -> None:
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and value > _LARGEST_ARGUMENT:
            raise TooMuchWorkError(f"a number above {_LARGEST_ARGUMENT}")


def _check_replace(text: Any, _old: Any, new: Any, *_: Any, **__: Any) -> None:
    if (len(str(text)) + 1) * max(1, len(str(new))) > MAX_BYTES * 10:
        raise TooMuchWorkError(f"a text of more than {MAX_BYTES} letters")


def _check_join(things: Any, between: Any = "", *_: Any, **__: Any) -> None:
    if hasattr(things, "__len__") and len(things) * len(str(between)) > MAX_BYTES:
        raise TooMuchWorkError(f"a text of more than {MAX_BYTES} letters")


def _check_method(called: Any, args: tuple[Any, ...]) -> None:
    """The same for methods of texts; in the sandbox they are the only ones that make something large."""
    # The sandbox wraps `format`.
    text = getattr(getattr(called, "__wrapped__", called), "__self__", None)
    if not isinstance(text, str):
        return
    name = getattr(called, "__name__", "")
    if name in ("format", "format_map"):
        _check_format(text)
    elif name == "replace" and len(args) > 1:
        _check_replace(text, *args)
    elif name == "join" and args:
        _check_join(args[0], text)
    elif name in ("center", "ljust", "rjust", "zfill"):
        _check_numbers(text, *args)
    elif name in ("translate", "expandtabs"):
        raise TooMuchWorkError(f"{name}() is not for templates")
