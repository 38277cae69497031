"""The senders of the chaos run: processes that send until somebody ends them, and are replaced at once.

They are forked from one process that has already loaded the engine and the SDKs: 200 fresh Pythons would spend more
time on imports than on sending. All of them hold the same place of the queue, as copies of one send task do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_LOADED_ONCE = [
    "bench.senders",
    "lifecycle.evidence",
    "lifecycle.stages",
    "lifecycle.channels.sendgrid_email",
    "lifecycle.channels.twilio_sms",
    "babel.dates",
    "jinja2.sandbox",
    "sendgrid",
    "sqlalchemy.dialects.postgresql.psycopg",
    "twilio.rest.api.v2010.account.message",
    "yaml",
]


class Senders:
    """A number of processes that all run the same function."""

    def __init__(self, count: int, work: Callable[[str], None], design: str, log: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_LOADED_ONCE)
        self._work, self._design, self._log = work, design, log
        self._processes = [self._start() for _ in range(count)]

    def __len__(self) -> int:
        return len(self._processes)

    def replace_dead(self) -> None:
        """Start a new process for each that ended."""
        for place, process in enumerate(self._processes):
            if not process.is_alive():
                process.join()
                self._processes[place] = self._start()

    def kill(self, place: int) -> None:
        """End one with `kill -9`, whatever it is doing."""
        self._processes[place].kill()

    def freeze(self, place: int, seconds: float) -> None:
        """Stop one, and let it go on later as if nothing had happened."""
        process = self._processes[place]
        _signal(process, signal.SIGSTOP)
        waking = threading.Timer(seconds, _signal, (process, signal.SIGCONT))
        waking.daemon = True
        waking.start()

    def end(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def _start(self) -> ForkServerProcess:
        process = self._context.Process(target=_run, args=(self._work, self._design, self._log), daemon=True)
        process.start()
        return process


def _signal(process: ForkServerProcess, number: signal.Signals) -> None:
    # A number that was given to somebody else meanwhile is not ours.
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, number)


def _run(work: Callable[[str], None], design: str, log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    work(design)


def for_ever(send: Callable[[], object]) -> None:
    """Send again and again, as Airflow tries a failed task again; a moment's rest when there was nothing to do."""
    from lifecycle.errors import LifecycleError

    while True:
        try:
            has_sent = send()
        except LifecycleError:
            has_sent = False
        if not has_sent:
            time.sleep(1)
