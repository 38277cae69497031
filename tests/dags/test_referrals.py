"""The referrals in a real Airflow: what was earned is given once, and only what the programme counts."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from lifecycle import database, referrals
from tests.conftest import PROJECT
from tests.dags.airflow_run import run_dag
from tests.shop import Shop

DAY = date(2026, 3, 10)


@pytest.mark.needs_processors
def test_a_run_gives_once_what_friends_have_earned_since_the_start_of_the_dag(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory, empty_database: str
) -> None:
    """F-05, A-5: not for a friend of before, and not for one whose refund window is open."""
    home = tmp_path_factory.mktemp("airflow")
    shop.customer("ana", phone="+447700900001")
    with database.transaction() as connection:
        code = referrals.code_keys(connection, ["ana"])["ana"]
    for number, ordered in enumerate((date(2025, 11, 30), date(2026, 2, 1), date(2026, 2, 7), date(2026, 2, 8))):
        shop.customer(f"friend-{number}", phone=f"+44770090001{number}")
        shop.order(f"friend-{number}", ordered, referral_code=code)

    def run() -> dict[str, Any]:
        return run_dag(PROJECT, home, empty_database, "referrals", DAY, as_if_today=False)

    for _ in range(2):
        done = run()
        assert (done["run"], done["settle_referrals"]) == ("success", "success"), done["output"]
        given = shop.connection.execute("select source, customer_id from lifecycle.vouchers order by source").fetchall()
        assert given == [("referral/friend-1", "ana"), ("referral/friend-2", "ana")]
