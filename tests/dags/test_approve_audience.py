"""An unusual audience in a real Airflow: it waits for a person, and only a yes sends it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.dags.airflow_run import run_dag
from tests.lifecycle.test_approvals import TUESDAY, USUAL, Welcome
from tests.lifecycle.test_approvals import welcome as welcome
from tests.sandbox_client import SandboxClient

from lifecycle import reports


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one Airflow keeps its metadata for the tests of this module."""
    return tmp_path_factory.mktemp("airflow")


def test_an_audience_of_four_times_the_usual_is_sent_when_a_person_says_yes(
    welcome: Welcome, sandbox: SandboxClient, airflow_home: Path, tmp_path: Path, empty_database: str
) -> None:
    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    found = run_dag(tmp_path, airflow_home, empty_database, "welcome", TUESDAY, "Approve")
    print(found)
    assert "welcome/hello has 280 people where 70 are usual on Tuesday, 2026-03-31. Send it?" in found["output"]
