"""What every Dag keeps to, as Airflow itself reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT

STEP_TASKS = ["select_audience", "approve_audience", "queue_messages", "send"]
STAGES = ["check_sources", "record_conversions", "close_ladder", "report"]


@pytest.fixture(scope="module")
def bag(home: Path) -> Iterator[Any]:
    """The Dags of the checkout."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_HOME", str(home / "airflow"))
        environment.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        from airflow.dag_processing.dagbag import DagBag

        yield DagBag(str(PROJECT / "dags"))


def test_every_dag_file_loads(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == {path.stem for path in (PROJECT / "dags").glob("*.py")}


def test_unpausing_never_mails_the_past(bag: Any) -> None:
    assert all(dag.catchup is False and dag.max_active_runs == 1 for dag in bag.dags.values())


def test_every_dag_has_an_owner_a_tag_retries_and_a_page(bag: Any) -> None:
    for dag in bag.dags.values():
        assert "lifecycle" in dag.tags
        assert dag.doc_md.startswith("# ")
        assert all(task.owner == "lifecycle" and task.retries >= 2 for task in dag.tasks)


def test_a_journey_has_the_tasks_of_its_stages_in_order(bag: Any) -> None:
    dag = bag.dags["reactivation"]
    steps = ["survey", "contest", "coupon"]
    per_step = [f"{step}.{task}" for step in steps for task in STEP_TASKS]
    assert {task.task_id for task in dag.tasks} == {*STAGES, *per_step}
    for step in steps:
        assert dag.get_task(f"{step}.select_audience").upstream_task_ids == {"record_conversions"}
        assert dag.get_task(f"{step}.approve_audience").upstream_task_ids == {f"{step}.select_audience"}
        before_queue = dag.get_task(f"{step}.queue_messages").upstream_task_ids
        assert {"record_conversions", f"{step}.approve_audience"} <= before_queue
        assert dag.get_task(f"{step}.send").upstream_task_ids == {f"{step}.queue_messages"}
    assert dag.get_task("close_ladder").upstream_task_ids == {f"{step}.send" for step in steps}


def test_deferred_messages_are_looked_for_every_quarter_of_an_hour_from_the_start(bag: Any) -> None:
    dag = bag.dags["deferred_messages"]
    assert dag.schedule == "*/15 * * * *"
    assert dag.is_paused_upon_creation is False
    assert [task.task_id for task in dag.tasks] == ["send_deferred"]
    assert "journey" not in dag.tags


def test_the_interface_shows_the_sql_of_a_segment_as_the_analyst_wrote_it(bag: Any) -> None:
    task = bag.dags["reactivation"].get_task("survey.select_audience")
    file = PROJECT / "include" / "sql" / "journeys" / "reactivation" / "silent_30_days.sql"
    assert task.template_fields == ("sql",)
    assert task.sql == file.read_text(encoding="utf-8").strip()


def test_reading_the_dags_loads_no_provider_sdk(home: Path) -> None:
    import subprocess
    import sys

    code = (
        "import runpy, sys; runpy.run_path('dags/reactivation.py'); "
        "print([name for name in ('twilio', 'sendgrid') if name in sys.modules])"
    )
    environment = os.environ | {"AIRFLOW_HOME": str(home / "airflow")}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().splitlines()[-1] == "[]"


def test_shards_grow_with_the_queue_and_never_with_people() -> None:
    from lifecycle.airflow_tasks import shards_for

    assert shards_for(0) == [{"number": 0, "of": 1}]
    assert len(shards_for(5_000)) == 1
    assert len(shards_for(5_001)) == 2
    assert len(shards_for(10_000_000)) == 8
