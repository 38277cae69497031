"""An unusual audience in a real Airflow: it waits for a person, and only a yes sends it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lifecycle.airflow_tasks import ApproveAudience
from tests.dags.airflow_run import run_dag
from tests.lifecycle.test_approvals import TUESDAY, USUAL, Welcome
from tests.lifecycle.test_approvals import welcome as welcome
from tests.sandbox_client import SandboxClient

STEP = [f"hello.{task}" for task in ("approve_audience", "queue_messages", "send")]


@pytest.mark.needs_processors
def test_only_a_yes_sends_four_times_the_usual(
    welcome: Welcome, sandbox: SandboxClient, tmp_path: Path, empty_database: str
) -> None:
    home = tmp_path / "airflow"
    home.mkdir()

    def airflow(day: date, answer: str) -> dict[str, str]:
        return run_dag(tmp_path, home, empty_database, "welcome", day, answer)

    welcome.sign_up(4 * USUAL, TUESDAY - timedelta(days=1))
    refused = airflow(TUESDAY, "late")
    assert "nobody answered in time: nothing of it is sent" in refused["output"]
    assert [refused[task] for task in STEP] == ["failed", "upstream_failed", "upstream_failed"]
    # The other step, which is as usual, asked nobody; the day is not finished.
    assert refused["tips.send"] == "success"
    assert refused["run"] == "failed"
    assert (sandbox.messages(), welcome.decided()) == ([], 0)
    approved = airflow(TUESDAY, "Approve")
    assert "welcome/hello has 280 people where 70 are usual on Tuesday, 2026-03-31. Send it?" in approved["output"]
    assert [approved[task] for task in STEP] == ["success"] * 3
    assert approved["run"] == "success"
    assert len(sandbox.messages()) == 4 * USUAL


def test_any_answer_but_the_one_yes_is_a_no(welcome: Welcome) -> None:
    task = ApproveAudience(task_id="approve", journey=welcome.declared.journey, step=welcome.hello)
    by = {"responded_by_user": {"id": "7", "name": "ana"}}
    assert task._decision({"chosen_options": ["Approve"], **by}) == ("approved", "ana")
    assert task._decision({"chosen_options": ["Reject"], **by}) == ("rejected", "ana")
    assert task._decision({"chosen_options": [], "responded_by_user": None}) == ("rejected", "")
    assert task._decision({"error": "...", "error_type": "timeout"}) == ("timed_out", "")
    assert task.response_timeout == timedelta(hours=12)
