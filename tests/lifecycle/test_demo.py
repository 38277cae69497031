"""The demo's data: loaded once, replaced only while it is the demo's, and never at the cost of a user's own."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import psycopg
import pytest
from tests.conftest import PROJECT, plain

from lifecycle import csv_import, demo, journeys
from lifecycle.errors import LifecycleError

SHOP = PROJECT / "docs" / "example-shop"
TODAY = date(2026, 11, 21)


def _customers(url: str) -> int:
    with psycopg.connect(plain(url)) as connection:
        found = connection.execute("select count(*) from imported.customers").fetchone()
    assert found is not None
    return found[0]


def test_the_same_data_is_loaded_once(empty_database: str) -> None:
    assert demo._load(SHOP, shift_to_today=False, today=TODAY)
    assert not demo._load(SHOP, shift_to_today=False, today=TODAY)
    assert _customers(empty_database) > 0


def test_other_data_replaces_what_the_demo_loaded(empty_database: str, tmp_path: Path) -> None:
    demo._load(SHOP, shift_to_today=False, today=TODAY)
    (tmp_path / "customers.csv").write_text("customer_id,signed_up_at\n1,2026-01-01T00:00:00+00:00\n")
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,total,currency\n")
    assert demo._load(tmp_path, shift_to_today=False, today=TODAY)
    assert _customers(empty_database) == 1


def test_what_a_user_imported_is_never_replaced(empty_database: str) -> None:
    demo._load(SHOP, shift_to_today=False, today=TODAY)
    csv_import.import_folder(SHOP, replace=True)
    before = _customers(empty_database)
    with pytest.raises(LifecycleError, match="holds data that the demo did not load"):
        demo._load(None, shift_to_today=False, today=TODAY)
    with pytest.raises(LifecycleError, match="holds data that the demo did not load"):
        demo._load(SHOP, shift_to_today=False, today=TODAY)
    assert _customers(empty_database) == before


def test_the_last_days_end_with_the_day_whose_hour_has_come() -> None:
    declared = journeys.load("reactivation")
    before_ten = datetime(2026, 7, 1, 8, 59, tzinfo=timezone.utc)
    at_ten = datetime(2026, 7, 1, 9, 0, tzinfo=timezone.utc)
    assert demo.last_run_days(declared, before_ten, 7) == (date(2026, 6, 24), date(2026, 6, 30))
    assert demo.last_run_days(declared, at_ten, 7) == (date(2026, 6, 25), date(2026, 7, 1))
