"""The local stack: Airflow's four processes, the sandbox and the receiver, on this machine and for it alone.

Everything listens on 127.0.0.1 and keeps its state under `LIFECYCLE_HOME`. Whoever starts something that already runs
gets the running one; `stop_all` ends all of it, the embedded Postgres included.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from http.client import HTTPException
from time import monotonic
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from lifecycle import airflow_setup, embedded_postgres, processes, settings
from lifecycle.airflow_api import AirflowApi
from lifecycle.errors import LifecycleError

SANDBOX_PORT = 8025
RECEIVER_PORT = 8026
AIRFLOW_PORT = 8080
AIRFLOW_SERVICES = {
    "airflow-api-server": ["api-server"],
    # Their log servers would listen on every network address of the machine; the UI reads the log files anyway.
    "airflow-scheduler": ["scheduler", "--skip-serve-logs"],
    "airflow-dag-processor": ["dag-processor"],
    "airflow-triggerer": ["triggerer", "--skip-serve-logs"],
}
_API_SERVER = "airflow-api-server"
_HEARTBEATS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}
_POSTGRES = "postgres"
# A proxy configured for the internet must not see calls to this machine.
_opener = build_opener(ProxyHandler({}))

Say = Callable[[str], None]


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class AirflowAddress:
    """Where Airflow answers, and how to log in."""

    url: str
    username: str
    password: str

    def api(self) -> AirflowApi:
        """A client that is logged in as this user."""
        return AirflowApi(self.url, self.username, self.password)


# --- the two small servers --------------------------------------------------------------------------------------------


def start_sandbox(say: Say = _silent) -> str:
    """Start the local provider stand-in, unless it runs; returns its address."""
    return _start_server("sandbox", SANDBOX_PORT, say)


def start_receiver(say: Say = _silent) -> str:
    """Start the public web app, unless it runs; returns its address."""
    return _start_server("receiver", RECEIVER_PORT, say)


def sandbox_url() -> str:
    """Where the sandbox answers: as configured, else the one under `LIFECYCLE_HOME`; empty when there is none."""
    return settings.sandbox_url() or _local_url("sandbox")


def receiver_url() -> str:
    """Where the receiver answers: as configured, else the one under `LIFECYCLE_HOME`; empty when there is none."""
    return settings.public_url() or _local_url("receiver")


def _local_url(name: str) -> str:
    service = processes.find(name)
    return f"http://127.0.0.1:{service.port}" if service and service.is_alive else ""


def _start_server(name: str, preferred: int, say: Say) -> str:
    port = _port_for(name, preferred, say)
    command = [sys.executable, "-m", "lifecycle.cli", name, "--port", str(port)]
    processes.start(name, command, _server_environment(), port=port)
    url = f"http://127.0.0.1:{port}"
    _wait_healthy([name], lambda: _answers(f"{url}/health"), timeout=120)
    return url


def _server_environment() -> dict[str, str]:
    return {**os.environ, "LIFECYCLE_HOME": str(settings.home()), "LIFECYCLE_PROJECT": str(settings.project_root())}


def _port_for(name: str, preferred: int, say: Say) -> int:
    """The port the service already has, else the preferred one, else the next free one, which is said."""
    service = processes.find(name)
    if service and service.port and (service.is_alive or processes.is_port_free(service.port)):
        return service.port
    port = processes.free_port(preferred)
    if port != preferred:
        say(f"Port {preferred} is taken by another program: {name} uses {port}.")
    return port


def _answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=2) as answer:
            return answer.status == 200
    except (URLError, OSError, HTTPException):  # HTTPException: whatever answers there does not speak HTTP
        return False


def _wait_healthy(names: list[str], check: Callable[[], bool], timeout: float) -> None:
    """Wait until the services are ready; one that ends meanwhile ends the waiting.

    Raises:
        LifecycleError: with the last words of the service that failed.
    """
    deadline = monotonic() + timeout
    while not processes.wait_until(lambda: check() or not all(map(processes.is_running, names)), 0.5):
        if monotonic() > deadline:
            raise _did_not_start(names, f"is not ready after {timeout:.0f} s")
    dead = [name for name in names if not processes.is_running(name)]
    if dead:
        raise _did_not_start(dead, "ended while starting")


def _did_not_start(names: list[str], how: str) -> LifecycleError:
    words = processes.last_words(names[0])
    return LifecycleError(
        f"{', '.join(names)} {how}{': ' + words if words else ''}", hint=f"See {processes.log_file(names[0])}"
    )


# --- Airflow ----------------------------------------------------------------------------------------------------------


def start_airflow(extra_env: dict[str, str] | None = None, say: Say = _silent) -> AirflowAddress:
    """Start Airflow's four processes, unless they run, and wait until all are healthy.

    Args:
        extra_env: Variables for Airflow and its tasks, over those of `airflow_environment`.
        say: Is told what takes its time, and when port 8080 is taken.

    Raises:
        LifecycleError: the database cannot be used, or a process does not become healthy.
    """
    return launch_airflow(extra_env, say).wait()


def launch_airflow(extra_env: dict[str, str] | None = None, say: Say = _silent) -> AirflowLaunch:
    """Start Airflow's four processes as `start_airflow` does, and leave the waiting to the caller."""
    with processes.locked(settings.home() / "airflow.lock"):
        port = _port_for(_API_SERVER, AIRFLOW_PORT, say)
        env = airflow_environment(port) | (extra_env or {})
        airflow_setup.migrate(env, say)
        say("Starting Airflow: api-server, scheduler, dag-processor, triggerer")
        started = datetime.now(timezone.utc)
        fresh = frozenset(name for name in AIRFLOW_SERVICES if _start_airflow_service(name, env, port))
        address = AirflowAddress(f"http://127.0.0.1:{port}", airflow_setup.USER, airflow_setup.password())
        return AirflowLaunch(address, fresh, started)


@dataclass(frozen=True)
class AirflowLaunch:
    """An Airflow that was started and may not be healthy yet."""

    address: AirflowAddress
    fresh: frozenset[str]
    started: datetime

    def wait(self, timeout: float = 300) -> AirflowAddress:
        """Where Airflow answers, as soon as all four processes are healthy."""
        _wait_healthy(list(AIRFLOW_SERVICES), self._is_healthy, timeout)
        return self.address

    def _is_healthy(self) -> bool:
        """Whether the api-server answers and the others are healthy, by a heartbeat of this start, not of the last."""
        try:
            health = self.address.api().health()
        except LifecycleError:
            return False
        return all(
            health[key]["status"] == "healthy" and (name not in self.fresh or _heartbeat(health[key]) >= self.started)
            for name, key in _HEARTBEATS.items()
        )


def airflow_address() -> AirflowAddress | None:
    """The running Airflow, or None."""
    url = _local_url(_API_SERVER)
    return AirflowAddress(url, airflow_setup.USER, airflow_setup.password()) if url else None


def require_airflow() -> AirflowAddress:
    """The Airflow to ask: the configured one, else the one that runs here.

    Raises:
        LifecycleError: there is none.
    """
    if settings.airflow_url():
        return AirflowAddress(settings.airflow_url(), settings.airflow_user(), settings.airflow_password())
    address = airflow_address()
    if address is None:
        hint = "Set LIFECYCLE_AIRFLOW_URL, LIFECYCLE_AIRFLOW_USER and LIFECYCLE_AIRFLOW_PASSWORD, or run bin/demo"
        raise LifecycleError("No Airflow is known", hint=hint)
    return address


def airflow_environment(port: int | None = None) -> dict[str, str]:
    """The whole environment of an `airflow` command that means the Airflow of this stack; starts the database.

    Args:
        port: Where the api-server listens; default: where the running one does, else 8080.
    """
    if port is None:
        running = processes.find(_API_SERVER)
        port = running.port if running and running.port else AIRFLOW_PORT
    return airflow_setup.environment(port) | _addresses()


def _start_airflow_service(name: str, env: dict[str, str], port: int) -> bool:
    """Start one process; False when it already ran."""
    before = processes.find(name)
    command = airflow_setup.command(*AIRFLOW_SERVICES[name])
    return processes.start(name, command, env, port=port if name == _API_SERVER else None) != before


def _heartbeat(component: dict[str, str | None]) -> datetime:
    text = next((value for key, value in component.items() if key.startswith("latest_") and value), None)
    # Python 3.10 does not read a trailing Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else datetime.min.replace(tzinfo=timezone.utc)


def _addresses() -> dict[str, str]:
    """Where tasks find the sandbox and the receiver."""
    known = {"LIFECYCLE_SANDBOX_URL": sandbox_url(), "LIFECYCLE_PUBLIC_URL": receiver_url()}
    return {name: url for name, url in known.items() if url}


# --- everything -------------------------------------------------------------------------------------------------------


def running() -> list[str]:
    """What of the stack runs now."""
    services = [name for name in processes.names() if processes.is_running(name)]
    return services + ([_POSTGRES] if embedded_postgres.is_running() else [])


def stop_all() -> list[str]:
    """End the servers, Airflow with every process it started, then the embedded Postgres; returns what ran."""
    stopped = processes.stop_all()
    return stopped + ([_POSTGRES] if embedded_postgres.stop() else [])
