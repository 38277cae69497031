"""The loyalty programme in a real Airflow: a day is accrued once, late facts are caught up with, the ledger is proved."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from lifecycle import programmes
from tests.conftest import PROJECT
from tests.dags.airflow_run import run_dag
from tests.shop import Shop

DAY = date(2026, 3, 10)


def test_the_programme_names_rules_and_rewards_that_exist() -> None:
    """L-01, L-02, L-05."""
    programme = programmes.only()
    assert (programme.name, programme.zone) == ("loyalty_points", "Europe/London")
    assert [path.stem for path in sorted((PROJECT / "include/sql/loyalty").glob("*.sql"))] == sorted(programme.rules)
    assert programme.reward("twenty_percent").points == 200


@pytest.mark.needs_processors
def test_a_run_accrues_the_days_before_it_once_and_fails_when_ledger_and_shop_differ(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, empty_database: str
) -> None:
    home = tmp_path_factory.mktemp("airflow")
    shop.customer("ana")
    for ordered in (date(2025, 12, 30), date(2026, 1, 15), date(2026, 3, 9), DAY):
        shop.order("ana", ordered)

    def run() -> dict[str, Any]:
        return run_dag(PROJECT, home, empty_database, "loyalty_points", DAY, as_if_today=False)

    def points() -> list[tuple[Any, ...]]:
        return shop.connection.execute("select fact, points from lifecycle.points_entries order by fact").fetchall()

    assert run()["run"] == "success"
    # Days that no run accrued are caught up with; not the day itself, which is not over, and not what was before.
    assert points() == [("ordered/order-0002", 100), ("ordered/order-0003", 100)]
    late = shop.order("ana", date(2026, 3, 4))
    shop.connection.execute("update imported.orders set total_cents = 1500 where order_id = 'order-0002'")
    failed = run()
    assert (failed["run"], failed["accrue"], failed["check_ledger"]) == ("failed", "success", "failed")
    assert (
        "1 facts differ between shop and ledger; ordered/order-0002 has 100 points and should have 150"
        in failed["output"]
    )
    assert len(points()) == 3
    assert (f"ordered/{late}", 100) in points()
