"""Runs one Dag once in a real Airflow with a metadata database of its own, and answers what it asks a person.

`python -m tests.dags.airflow_run DAG DAY ANSWER CONF`: ANSWER is Approve, Reject, late (nobody answers in time) or none, and CONF
the JSON that the run is triggered with. Sources are looked at again after two seconds. Prints the state of every task as
JSON on its last line. A process of its own, because Airflow binds its database when it is
imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

QUESTION = "hello.approve_audience"


def main(dag_id: str, day: str, answer: str, conf: str) -> None:
    from airflow.dag_processing.dagbag import DagBag

    from lifecycle import airflow_tasks

    airflow_tasks.LOOK_AGAIN_EVERY = timedelta(seconds=2)
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    local = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo("Europe/London"))
    done = threading.Event()
    thread = threading.Thread(target=_answer, args=(dag_id, answer, done), daemon=True)
    thread.start()
    run = bag.dags[dag_id].test(logical_date=local + timedelta(hours=10), run_conf=json.loads(conf))
    done.set()
    thread.join(60)
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    sys.stdout.write(json.dumps({"run": str(run.state), **states}) + "\n")


def _answer(dag_id: str, answer: str, done: threading.Event) -> None:
    """Wait for the question, and answer it as the web server or, without an answer in time, the scheduler does."""
    while not done.wait(0.5):
        if _is_asked():
            _let_time_pass() if answer == "late" else _say(dag_id, answer)
            return


def _is_asked() -> bool:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        states = session.scalars(select(TaskInstance.state).where(TaskInstance.task_id == QUESTION)).all()
    return "awaiting_input" in states


def _let_time_pass() -> None:
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        past = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))
        session.execute(update(TaskInstance).where(TaskInstance.task_id == QUESTION).values(trigger_timeout=past))
    SchedulerJobRunner(Job()).check_awaiting_input_timeouts()


def _say(dag_id: str, answer: str) -> None:
    from airflow.api_fastapi.app import create_app
    from starlette.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    token = client.get("/auth/token").json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    open_questions = client.get(f"/api/v2/dags/{dag_id}/dagRuns/~/hitlDetails", headers=headers).json()
    (question,) = open_questions["hitl_details"]
    sys.stdout.write(f"{question['subject']} {question['body']}\n")
    run_id = question["task_instance"]["dag_run_id"]
    address = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{QUESTION}/-1/hitlDetails"
    said = client.patch(address, headers=headers, json={"chosen_options": [answer], "params_input": {}})
    if said.status_code != 200:
        raise SystemExit(said.text)


def run_dag(
    project: Path,
    home: Path,
    database_url: str,
    dag_id: str,
    day: date,
    answer: str = "none",
    conf: dict[str, Any] | None = None,
    *,
    as_if_today: bool = True,
) -> dict[str, Any]:
    """The states of the tasks, and of the `run`, of a day of a project's Dag; `output` is what it printed."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW_CONN_LIFECYCLE_DB": database_url.replace("postgresql+psycopg", "postgres"),
        "LIFECYCLE_PROJECT": str(project),
    }
    checkout = Path(__file__).resolve().parents[2]
    environment["PYTHONPATH"] = f"{checkout / 'plugins'}{os.pathsep}{checkout}"
    if not (home / "airflow.db").exists():
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, timeout=300)
    command = [sys.executable, "-m", "tests.dags.airflow_run", dag_id, str(day), answer]
    command.append(json.dumps({**({"as_if_today": True} if as_if_today else {}), **(conf or {})}))
    done = subprocess.run(
        command, env=environment, cwd=checkout, capture_output=True, text=True, timeout=600, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return {"output": output, **json.loads(done.stdout.strip().splitlines()[-1])}


if __name__ == "__main__":
    main(*sys.argv[1:])
