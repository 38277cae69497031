"""The first task in a real Airflow: a late source is waited for, and what cannot be right fails the run in one line."""

from __future__ import annotations

import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_run import run_dag
from tests.lifecycle.test_sources import A_DAY, TODAY, Busy, declared
from tests.lifecycle.test_sources import busy as busy
from tests.sandbox_client import SandboxClient


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Airflow keeps its own database."""
    return tmp_path_factory.mktemp("airflow")


@pytest.mark.needs_processors
def test_a_mistyped_key_of_a_run_fails_it_in_one_line(
    busy: Busy,
    sandbox: SandboxClient,
    tmp_path: Path,
    airflow_home: Path,
    empty_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Left alone it would be the run of another day than was meant (bad input 110)."""
    declared(tmp_path, monkeypatch, "")
    failed = run_dag(tmp_path, airflow_home, empty_database, "hello", TODAY - A_DAY, conf={"asof": "2026-03-29"})
    assert (failed["run"], failed["check_sources"], failed["greet.send"]) == ("failed", "failed", "upstream_failed")
    assert "There is no Dag param 'asof'. Did you mean 'as_of'." in failed["output"]
    assert sandbox.messages() == []


@pytest.mark.needs_processors
def test_a_late_source_is_waited_for_and_fails_the_run_when_it_does_not_come(
    busy: Busy,
    sandbox: SandboxClient,
    tmp_path: Path,
    airflow_home: Path,
    empty_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared(tmp_path, monkeypatch, "")
    busy.execute("delete from imported.orders where ordered_at > '2026-03-26'")

    def airflow(day: date) -> dict[str, Any]:
        return run_dag(tmp_path, airflow_home, empty_database, "hello", day)

    monkeypatch.setenv("LIFECYCLE_SOURCE_WAIT_HOURS", "0")
    failed = airflow(TODAY)
    assert failed["check_sources"] == "failed"
    assert {failed["greet.select_audience"], failed["greet.send"]} == {"upstream_failed"}
    assert "hello waits for its sources: orders is late" in failed["output"]
    assert sandbox.messages() == []
    monkeypatch.setenv("LIFECYCLE_SOURCE_WAIT_HOURS", "1")
    # It was looked at once above; the next time the run finds it late again the orders come.
    loader = threading.Thread(target=_load_when_missed, args=(busy, _checks(busy)), daemon=True)
    loader.start()
    found = airflow(TODAY)
    loader.join(1)
    assert found["run"] == "success"
    assert "Looking again every few minutes until" in found["output"]
    assert len(sandbox.messages()) == 1


def _checks(busy: Busy) -> int:
    found = busy.shop.connection.execute("select max(check_id) from lifecycle.source_checks").fetchone()
    assert found
    return found[0]


def _load_when_missed(busy: Busy, looked_at: int) -> None:
    deadline = time.monotonic() + 300
    while _checks(busy) == looked_at and time.monotonic() < deadline:
        time.sleep(0.2)
    busy.fill("orders", TODAY - 5 * A_DAY, TODAY - A_DAY)
