"""Where a sending process spends its time: each SQL statement by name, factoring, links, and the provider's SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

_lock = threading.Lock()
# Seconds by phase: waited, on the processor here, on the processor in Postgres.
Spent: TypeAlias = tuple[float, float, float]
_spent: dict[str, Spent] = {}


def watch(channel: Any) -> Any:
    """Take the times of what `delivery` calls from now on; returns the channel to send through."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from lifecycle import factoring, links

    @event.listens_for(Engine, "before_cursor_execute")
    def started(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        connection.info["bench"] = (time.perf_counter(), time.thread_time(), _seconds_of_session(connection))

    @event.listens_for(Engine, "after_cursor_execute")
    def ended(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        wall, cpu, server = connection.info["bench"]
        name = f"SQL: {statement.strip().splitlines()[0].removeprefix('-- ')[:60]}"
        _add(name, time.perf_counter() - wall, time.thread_time() - cpu, _seconds_of_session(connection) - server)

    for module, function in ((factoring, "factor"), (links, "keep")):
        setattr(module, function, _timed(f"Python: {module.__name__}.{function}", getattr(module, function)))
    for function in ("send", "send_many"):
        if hasattr(channel, function):
            setattr(channel, function, _timed(f"SDK: {function}", getattr(channel, function)))
    return channel


def phases(wall: float, cpu: float) -> dict[str, Spent]:
    """Seconds by phase, and the whole; empty unless somebody watched. The whole of Postgres is not known here.

    `links.keep` contains its SQL, and whatever runs in several threads adds up to more than the whole wall time.
    """
    return {**_spent, "whole": (wall, cpu, 0.0)} if _spent else {}


def _seconds_of_session(connection: Any) -> float:
    """Processor time of the Postgres process at the other end, to the nanosecond."""
    pid = connection.connection.driver_connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*values: Any, **options: Any) -> Any:
        with _taken(name):
            return function(*values, **options)

    return timed


@contextmanager
def _taken(name: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.thread_time()
    yield
    _add(name, time.perf_counter() - wall, time.thread_time() - cpu)


def _add(name: str, wall: float, cpu: float, server: float = 0.0) -> None:
    with _lock:
        known = _spent.get(name, (0.0, 0.0, 0.0))
        _spent[name] = (known[0] + wall, known[1] + cpu, known[2] + server)
