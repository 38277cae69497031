"""Every requirement has tests that name it: `python -m tests.test_requirements` lists which.

A test names a requirement in its docstring; one in the docstring of its file holds for all tests of the file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

REQUIREMENTS = {
    "J-01": "updates about order and delivery",
    "J-02": "confirmation of an order",
    "J-03": "an offer after the delivery",
    "J-04": "the funnel after a purchase: thanks, then reviews",
    "J-05": "how to use what was delivered",
    "J-06": "a request for a review",
    "J-10": "the ladder of reactivation",
    "J-15": "birthday",
    "J-16": "anniversary",
    "J-18": "the N-th purchase",
    "J-27": "mails about points and tiers",
    "J-28": "an invitation to refer a friend",
    "L-01": "points for money spent",
    "L-02": "200 points are 20 % off",
    "L-03": "35 % on a birthday, for 24 hours",
    "L-04": "joining is free and explicit",
    "L-05": "points buy products, or are donated",
    "L-06": "points for the list, the profile and social networks",
    "L-07": "500 points for a referral",
    "L-08": "tiers and their benefits",
    "L-09": "draws",
    "L-10": "rewards for surveys",
    "F-01": "one link per customer, offered with every order",
    "F-02": "a purchase through the link gives points",
    "F-03": "20 friends are free shipping for life",
    "F-04": "a fifth of each renewal of a friend is paid back",
    "F-05": "credit for a friend",
    "F-06": "referral as people know it from the best",
}
_ID = re.compile(r"\b[A-Z]-\d\d\b")


@lru_cache(maxsize=1)
def naming_tests() -> dict[str, list[str]]:
    """The tests that name a requirement, such as `dags/test_birthday.py::test_...`, by its id."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, ids in _named(ast.parse(path.read_text(encoding="utf-8"))):
            for requirement in ids:
                found.setdefault(requirement, []).append(f"{path.relative_to(TESTS)}::{name}")
    return found


def _named(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    of_file = _ids(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, of_file | _ids(node)


def _ids(node: ast.Module | ast.FunctionDef) -> set[str]:
    return set(_ID.findall(ast.get_docstring(node) or ""))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_requirement_is_named_by_a_test(requirement: str) -> None:
    assert naming_tests().get(requirement), f"No test names {requirement}: {REQUIREMENTS[requirement]}"


def test_no_test_names_a_rule_of_loyalty_or_referral_that_is_none() -> None:
    assert {requirement for requirement in naming_tests() if requirement[0] in "LF"} <= set(REQUIREMENTS)


if __name__ == "__main__":
    for requirement, asks in REQUIREMENTS.items():
        print(f"{requirement} {asks}")  # noqa: T201
        for test in naming_tests().get(requirement, ["no test"]):
            print(f"    {test}")  # noqa: T201
