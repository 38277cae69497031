"""Background services of the local stack: started, found again by any later command, and ended without leftovers.

Each service has a record `run/<name>.json` and a log `logs/<name>.log` under `LIFECYCLE_HOME`. A record names its
process by id *and* birth, so that a number the system gave to somebody else since is never mistaken for ours: only
processes started here are ever ended. Linux only, because it reads `/proc`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lifecycle import settings
from lifecycle.errors import LifecycleError

_PROC = Path("/proc")
# Of the environment only these decide whether a running service is still the one that was asked for.
_OUR_VARIABLES = ("AIRFLOW", "LIFECYCLE_")


@dataclass(frozen=True)
class Service:
    """A background service as its record describes it."""

    name: str
    pid: int
    born: str
    port: int | None
    command: list[str] = field(default_factory=list)
    fingerprint: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return birth_of(self.pid) == self.born


def start(name: str, command: Sequence[str], env: dict[str, str] | None = None, *, port: int | None = None) -> Service:
    """Start a service in a session of its own and record it; one that already runs the same way is kept.

    Args:
        name: What `run/<name>.json` and `logs/<name>.log` are called.
        command: Program and arguments.
        env: The whole environment of the service; default: that of the caller.
        port: The port it was told to listen on, remembered for later commands.

    Raises:
        LifecycleError: the program cannot be started.
    """
    env = dict(os.environ if env is None else env)
    with locked(_run_folder() / f"{name}.lock"):
        fingerprint = _fingerprint(command, env)
        running = find(name)
        if running and running.is_alive and running.fingerprint == fingerprint:
            return running
        stop(name)
        service = _spawn(name, list(command), env, port, fingerprint)
        write_private_json(_record(name), asdict(service))
        return service


def _spawn(name: str, command: list[str], env: dict[str, str], port: int | None, fingerprint: str) -> Service:
    log = log_file(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                env=env,
                cwd=settings.project_root(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise LifecycleError(f"{name} does not start: {error}", hint="Run bin/demo again to repair .venv") from None
    return Service(name, child.pid, birth_of(child.pid) or "", port, command, fingerprint)


def _fingerprint(command: Sequence[str], env: dict[str, str]) -> str:
    ours = {key: value for key, value in env.items() if key.startswith(_OUR_VARIABLES)}
    return hashlib.sha256(json.dumps([list(command), ours], sort_keys=True).encode()).hexdigest()[:16]


def find(name: str) -> Service | None:
    """The recorded service of that name, running or not."""
    try:
        return Service(**json.loads(_record(name).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, TypeError):
        return None


def is_running(name: str) -> bool:
    """Whether the recorded service of that name still runs."""
    service = find(name)
    return service is not None and service.is_alive


def names() -> list[str]:
    """Every recorded service."""
    return sorted(path.stem for path in _run_folder().glob("*.json"))


def stop(name: str, timeout: float = 10) -> bool:
    """End one service with all its children; False when there was nothing to end."""
    return bool(stop_many([name], timeout))


def stop_all(timeout: float = 10) -> list[str]:
    """End every recorded service and name those that ran."""
    return stop_many(names(), timeout)


def stop_many(wanted: Iterable[str], timeout: float = 10) -> list[str]:
    """End several services at once: all are asked, and whoever still runs after `timeout` seconds is killed."""
    services = [service for service in map(find, wanted) if service]
    members = {service.name: _members(service) for service in services}
    everybody = set().union(*members.values())
    _signal(everybody, signal.SIGTERM)
    if not wait_until(lambda: not _remaining(services, everybody), timeout):
        _signal(_remaining(services, everybody), signal.SIGKILL)
        wait_until(lambda: not _remaining(services, everybody), 5)
    # Orphans are dead but listed until the system's first process has collected them.
    wait_until(lambda: not any((stat := _stat(pid)) and stat.parent == 1 for pid, _ in everybody), 2)
    for service in services:
        _reap(service.pid)
        _record(service.name).unlink(missing_ok=True)
    return [name for name, processes in members.items() if processes]


def log_file(name: str) -> Path:
    """Where the service of that name writes."""
    return settings.home() / "logs" / f"{name}.log"


def last_words(name: str, lines: int = 1) -> str:
    """The end of a service's log, for an error message."""
    try:
        text = log_file(name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def free_port(preferred: int) -> int:
    """The preferred port when 127.0.0.1 has it free, else the next free one above it.

    The caller compares the answer with what it asked for and says so when they differ.
    """
    for port in range(preferred, min(preferred + 200, 65536)):
        if is_port_free(port):
            return port
    raise LifecycleError(f"No port from {preferred} to {preferred + 199} is free", hint="End a program that holds one")


def is_port_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(check: Callable[[], object], timeout: float, interval: float = 0.1) -> bool:
    """Ask again and again until the check is true; False when that took longer than `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time through; the lock goes with the process, so a killed one leaves none behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_private_json(path: Path, content: object) -> None:
    """Write a small JSON file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)


def birth_of(pid: int) -> str | None:
    """When a process was born, exact across restarts of the machine; None when it does not run."""
    stat = _stat(pid)
    if stat is None or stat.state in "ZX":
        return None
    return f"{_boot_id()}:{stat.started}"


@dataclass(frozen=True)
class _Stat:
    pid: int
    state: str
    parent: int
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name comes second, in brackets, and may itself hold brackets and spaces.
    fields = text.rpartition(")")[2].split()
    return _Stat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _members(service: Service) -> set[tuple[int, str]]:
    """The living processes of a service: its session, and descendants that opened a session of their own."""
    boot, _, ticks = service.born.partition(":")
    leader = birth_of(service.pid)
    if boot != _boot_id() or leader not in (None, service.born):
        return set()
    running = [stat for stat in map(_stat, _all_pids()) if stat and stat.started >= int(ticks)]
    found = {stat.pid for stat in running if stat.session == service.pid}
    while more := {stat.pid for stat in running if stat.parent in found} - found:
        found |= more
    return {(pid, birth) for pid in found if (birth := birth_of(pid))}


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _remaining(services: list[Service], known: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Who still runs of those known, and whom they started meanwhile."""
    late = set().union(*(_members(service) for service in services))
    return {(pid, birth) for pid, birth in known | late if birth_of(pid) == birth}


def _signal(processes: Iterable[tuple[int, str]], number: signal.Signals) -> None:
    for pid, birth in processes:
        if birth_of(pid) == birth:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect the exit of a child of this process; others are collected by their own parent."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _run_folder() -> Path:
    return settings.home() / "run"


def _record(name: str) -> Path:
    return _run_folder() / f"{name}.json"
