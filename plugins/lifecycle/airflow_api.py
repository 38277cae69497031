"""What the demo and the checks ask of a running Airflow, over its public HTTP API; Airflow itself is not imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from lifecycle.errors import LifecycleError
from lifecycle.processes import wait_until

JsonObject = dict[str, Any]
_PAGE = 100
# A proxy configured for the internet must not see calls to this machine.
_opener = build_opener(ProxyHandler({}))


@dataclass
class AirflowApi:
    """A logged-in caller of one Airflow.

    Every method raises `LifecycleError` when Airflow is not reachable or says no.
    """

    url: str
    username: str
    password: str
    # Seconds. On a busy machine Airflow may answer after half a minute, and giving up would end a demo that is well.
    timeout: float = 120
    _token: str = field(default="", repr=False)

    def health(self) -> JsonObject:
        """The state of each component; this needs no login."""
        return self._call("GET", "/api/v2/monitor/health", login=False)

    def import_errors(self) -> dict[str, str]:
        """What is wrong with which Dag file."""
        errors = self._all("/api/v2/importErrors", "import_errors")
        return {error["filename"]: error["stack_trace"] for error in errors}

    def dag(self, dag_id: str) -> JsonObject | None:
        """A Dag as Airflow knows it, or None while it does not."""
        found = self._all("/api/v2/dags", "dags", dag_id_pattern=dag_id, exclude_stale="true")
        return next((dag for dag in found if dag["dag_id"] == dag_id), None)

    def wait_for_dag(self, dag_id: str, timeout: float = 300) -> JsonObject:
        """The Dag, as soon as Airflow has read its file.

        Raises:
            LifecycleError: it does not appear in time; the message carries Airflow's import error.
        """
        if not wait_until(lambda: self.dag(dag_id), timeout, interval=1):
            raise LifecycleError(f"Airflow does not find the Dag {dag_id}", hint=self._why_missing())
        return self.dag(dag_id) or {}

    def unpause(self, dag_id: str) -> None:
        """Let the Dag run; a backfill of a paused Dag would wait for ever without a word."""
        self._call("PATCH", f"/api/v2/dags/{_part(dag_id)}", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Start no further runs of the Dag."""
        self._call("PATCH", f"/api/v2/dags/{_part(dag_id)}", {"is_paused": True})

    def create_backfill(
        self,
        dag_id: str,
        from_: datetime | date | str,
        to: datetime | date | str,
        *,
        max_active_runs: int = 1,
        reprocess_behavior: str = "none",
        conf: Mapping[str, Any] | None = None,
    ) -> int:
        """Ask for the runs from the first to the last logical date, both included; returns the backfill's id.

        Airflow takes one backfill of a Dag at a time, and notices up to half a minute late that the last one is over:
        this waits for it.

        Args:
            dag_id: An unpaused Dag with a schedule.
            from_: First logical date; a date means midnight UTC.
            to: Last logical date.
            max_active_runs: How many days at once; more than one runs the days out of order.
            reprocess_behavior: `none` keeps existing runs, `failed` repeats failed ones, `completed` all of them.
            conf: Params of the runs.
        """
        body = {
            "dag_id": dag_id,
            "from_date": _instant(from_),
            "to_date": _instant(to),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess_behavior,
            "run_backwards": False,
            "dag_run_conf": dict(conf or {}),
        }
        if not wait_until(lambda: not self.has_active_backfill(dag_id), timeout=120, interval=1):
            hint = "Wait for it, or cancel it in the UI under Backfills"
            raise LifecycleError(f"Another backfill of {dag_id} is still running", hint=hint)
        return int(self._call("POST", "/api/v2/backfills", body)["id"])

    def has_active_backfill(self, dag_id: str) -> bool:
        """Whether a backfill of the Dag is not over, or Airflow has not noticed it yet."""
        found = self._call("GET", f"/api/v2/backfills?dag_id={_part(dag_id)}&limit=100&order_by=-id")["backfills"]
        return any(backfill["completed_at"] is None for backfill in found)

    def backfill(self, backfill_id: int) -> JsonObject:
        """A backfill; `completed_at` is filled up to half a minute after its last run ended."""
        return self._call("GET", f"/api/v2/backfills/{backfill_id}")

    def trigger(
        self, dag_id: str, *, logical_date: datetime | date | str | None = None, conf: Mapping[str, Any] | None = None
    ) -> JsonObject:
        """Start one run by hand."""
        body = {"logical_date": _instant(logical_date) if logical_date else None, "conf": dict(conf or {})}
        return self._call("POST", f"/api/v2/dags/{_part(dag_id)}/dagRuns", body)

    def dag_runs(self, dag_id: str, **filters: str) -> list[JsonObject]:
        """The runs of a Dag, oldest first; filters are the API's own, such as `state` or `run_type`."""
        return self._all(_runs(dag_id), "dag_runs", **({"order_by": "run_after"} | filters))

    def task_instances(self, dag_id: str, run_id: str = "~", **filters: str) -> list[JsonObject]:
        """The task instances of one run, or of all runs."""
        return self._all(f"{_runs(dag_id, run_id)}/taskInstances", "task_instances", **filters)

    def xcom_entries(self, dag_id: str, run_id: str = "~", task_id: str = "~") -> list[JsonObject]:
        """Every XCom entry with its value, of one run and task or of all."""
        path = f"{_runs(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries"
        return [self._xcom_value(entry) for entry in self._all(path, "xcom_entries")]

    def clear_task(
        self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool = False
    ) -> list[JsonObject]:
        """Make tasks of a run run again, and with `downstream` what follows them; returns what was cleared."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": task_ids,
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        answer = self._call("POST", f"/api/v2/dags/{_part(dag_id)}/clearTaskInstances", body)
        return answer["task_instances"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """What a task wrote."""
        path = f"{_runs(dag_id, run_id)}/taskInstances/{_part(task_id)}/logs/{try_number}"
        answer = self._call("GET", f"{path}?map_index={map_index}&full_content=true")
        content = answer["content"]
        return content if isinstance(content, str) else "\n".join(json.dumps(line) for line in content)

    def _xcom_value(self, entry: JsonObject) -> JsonObject:
        run, task, key = entry["run_id"], entry["task_id"], entry["key"]
        path = f"{_runs(entry['dag_id'], run)}/taskInstances/{_part(task)}/xcomEntries/{_part(key)}"
        return self._call("GET", f"{path}?map_index={entry['map_index']}&deserialize=false")

    def _why_missing(self) -> str:
        errors = self.import_errors()
        shown = [f"{file}: {trace.strip().splitlines()[-1]}" for file, trace in errors.items() if trace.strip()]
        return "; ".join(shown) or "Is its file in dags/, and does the file import DAG from airflow.sdk?"

    def _all(self, path: str, key: str, **query: str) -> list[JsonObject]:
        """Every row of a paged list."""
        rows: list[JsonObject] = []
        while True:
            page = self._call("GET", f"{path}?{urlencode({'limit': _PAGE, 'offset': len(rows), **query})}")
            rows += page[key]
            if not page[key] or len(rows) >= page["total_entries"]:
                return rows

    def _call(self, method: str, path: str, body: object = None, *, login: bool = True) -> JsonObject:
        if login and not self._token:
            self._log_in()
        try:
            return self._send(method, path, body)
        except HTTPError as error:
            if error.code == 401 and login:
                self._log_in()
                return self._send(method, path, body)
            raise LifecycleError(f"Airflow answers {error.code} to {method} {path}: {_detail(error)}") from None
        except TimeoutError:
            late = f"Airflow at {self.url} did not answer {method} {path} within {self.timeout:g} s"
            raise LifecycleError(late, hint="See what keeps the machine busy, then run the command again") from None
        except (URLError, OSError) as error:
            raise LifecycleError(f"Airflow is not reachable at {self.url}: {error}", hint="Run bin/demo") from None

    def _log_in(self) -> None:
        self._token = ""
        answer = self._call("POST", "/auth/token", {"username": self.username, "password": self.password}, login=False)
        self._token = answer["access_token"]

    def _send(self, method: str, path: str, body: object) -> JsonObject:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url.rstrip("/") + path, data, headers, method=method)
        with _opener.open(request, timeout=self.timeout) as answer:
            return json.loads(answer.read() or b"{}")


def _runs(dag_id: str, run_id: str | None = None) -> str:
    runs = f"/api/v2/dags/{_part(dag_id)}/dagRuns"
    return f"{runs}/{_part(run_id)}" if run_id else runs


def _part(name: str) -> str:
    return quote(name, safe="~")


def _instant(moment: datetime | date | str) -> str:
    if isinstance(moment, str):
        return moment
    return moment.isoformat() if isinstance(moment, datetime) else f"{moment.isoformat()}T00:00:00Z"


def _detail(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return error.reason
