"""Reads what a person or a test switches on: JSON objects with known fields, each of a known kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
Reader = Callable[[Any], Any]


class BadOptionError(ValueError):
    """A switch that cannot be read; says which and why."""


def option(default: Any, reader: Reader) -> Any:
    """A field of an options class, with how its value is read."""
    return dataclasses.field(default=default, metadata={"reader": reader})


def read(kind: type[T], given: Any) -> T:
    """The options that a JSON object names; what it leaves out keeps its default.

    Raises:
        BadOptionError: an unknown field, or a value of the wrong kind.
    """
    if not isinstance(given, dict):
        raise BadOptionError(f"{kind.__name__}: give a JSON object")
    readers = {field.name: field.metadata["reader"] for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    unknown = sorted(given.keys() - readers.keys())
    if unknown:
        raise BadOptionError(f"unknown: {', '.join(unknown)}; known: {', '.join(readers)}")
    return kind(**{name: _value(name, readers[name], value) for name, value in given.items()})


def _value(name: str, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except BadOptionError as error:
        raise BadOptionError(f"{name}: {error}") from None


def number(least: float, most: float = float("inf")) -> Reader:
    """A number between two others."""

    def reads(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise BadOptionError(f"give a number from {least} to {most}")
        return value

    return reads


def whole(least: int, most: int = 2**31) -> Reader:
    """A whole number between two others."""

    def reads(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise BadOptionError(f"give a whole number from {least} to {most}")
        return value

    return reads


def one_of(*allowed: str) -> Reader:
    """One of a few words."""

    def reads(value: Any) -> str:
        if value not in allowed or not isinstance(value, str):
            raise BadOptionError(f"give one of {', '.join(allowed)}")
        return value

    return reads


def switch(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadOptionError("give true or false")
    return value


def web_address(value: Any) -> str:
    """An http or https address, or an empty text for none."""
    if value == "":
        return value
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        is_fine = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise BadOptionError("give an http or https address")
    return value


def span(value: Any) -> tuple[float, float]:
    """Two numbers, the smaller first."""
    read_number = number(0)
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise BadOptionError("give two numbers")
    least, most = map(read_number, value)
    if least > most:
        raise BadOptionError("give the smaller number first")
    return least, most


def rate(value: Any) -> float:
    """A share between 0 and 1."""
    return number(0, 1)(value)
