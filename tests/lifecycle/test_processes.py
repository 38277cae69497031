from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle import processes
from lifecycle.errors import LifecycleError

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
# Ignores the polite request, and has a child in a session of its own; says when both are there.
STUBBORN_FAMILY = """
import signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); time.sleep(300)"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(300)
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    processes.stop_all(timeout=0)


@pytest.fixture
def stranger():
    """A process that was not started as a service."""
    process = subprocess.Popen(SLEEP, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def pretend_record(home: Path, name: str, **changes: object) -> None:
    """The record of a service, changed as if the machine had gone on without us."""
    path = home / "run" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_service_runs_until_it_is_stopped():
    service = processes.start("sleeper", SLEEP)
    assert processes.is_running("sleeper")
    assert processes.stop("sleeper")
    assert not processes.is_running("sleeper")
    assert processes.birth_of(service.pid) is None


def test_a_later_command_finds_the_service_and_ends_it(home):
    processes.start("sleeper", SLEEP, port=4711)
    code = "from lifecycle import processes as p; print(p.find('sleeper').port, p.stop('sleeper'))"
    later = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert later.stdout.split() == ["4711", "True"]
    assert not processes.is_running("sleeper")


def test_starting_what_runs_keeps_it():
    assert processes.start("sleeper", SLEEP) == processes.start("sleeper", SLEEP)


def test_starting_with_other_settings_replaces_it():
    first = processes.start("sleeper", SLEEP, {**os.environ, "LIFECYCLE_SENDER_NAME": "one"})
    second = processes.start("sleeper", SLEEP, {**os.environ, "LIFECYCLE_SENDER_NAME": "two"})
    assert processes.birth_of(first.pid) is None
    assert second.is_alive


def test_what_a_service_says_is_in_its_log():
    processes.start("speaker", [sys.executable, "-c", "print('first'); print('the last words')"])
    assert processes.wait_until(lambda: processes.last_words("speaker") == "the last words", 60)


def test_stopping_kills_whoever_does_not_listen_and_every_descendant():
    service = processes.start("stubborn", [sys.executable, "-c", STUBBORN_FAMILY])
    assert processes.wait_until(lambda: processes.last_words("stubborn") == "child", 60)
    family = processes._members(service)
    assert len(family) == 2
    processes.stop("stubborn", timeout=0.3)
    assert [pid for pid, birth in family if processes.birth_of(pid) == birth] == []


def test_stopping_ends_children_whose_parent_is_gone():
    service = processes.start("parent", ["bash", "-c", "sleep 300 & echo ready; wait"])
    assert processes.wait_until(lambda: processes.last_words("parent") == "ready", 60)
    os.kill(service.pid, signal.SIGKILL)
    os.waitpid(service.pid, 0)
    orphans = processes._members(service)
    assert len(orphans) == 1
    processes.stop("parent")
    assert [pid for pid, birth in orphans if processes.birth_of(pid) == birth] == []


def test_a_reused_process_id_is_not_ours(home, stranger):
    processes.start("sleeper", SLEEP)
    processes.stop("sleeper")
    processes.start("sleeper", SLEEP)
    mine = processes.find("sleeper")
    pretend_record(home, "sleeper", pid=stranger.pid)
    assert not processes.is_running("sleeper")
    assert not processes.stop("sleeper")
    assert stranger.poll() is None
    assert mine
    os.kill(mine.pid, signal.SIGKILL)


def test_a_record_from_before_a_restart_of_the_machine_is_not_ours(home, stranger):
    processes.start("sleeper", SLEEP)
    processes.stop("sleeper")
    processes.start("sleeper", SLEEP)
    mine = processes.find("sleeper")
    assert mine
    ticks = str(processes.birth_of(stranger.pid)).rpartition(":")[2]
    pretend_record(home, "sleeper", pid=stranger.pid, born=f"another-boot:{ticks}")
    assert not processes.stop("sleeper")
    assert stranger.poll() is None
    os.kill(mine.pid, signal.SIGKILL)


def test_stop_all_ends_every_service_and_names_those_that_ran():
    processes.start("one", SLEEP)
    processes.start("two", SLEEP)
    processes.start("gone", [sys.executable, "-c", ""])
    processes.wait_until(lambda: not processes.is_running("gone"), 60)
    assert processes.stop_all() == ["one", "two"]
    assert processes.names() == []


def test_a_program_that_does_not_exist_is_one_line():
    with pytest.raises(LifecycleError, match="ghost does not start"):
        processes.start("ghost", ["/nowhere/ghost"])


def test_a_taken_port_gives_the_next_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert processes.free_port(port) > port
    assert processes.free_port(port) == port


def test_private_files_are_for_their_owner_only(tmp_path):
    processes.write_private_json(tmp_path / "secret.json", {"password": "x"})
    assert (tmp_path / "secret.json").stat().st_mode & 0o777 == 0o600


def test_waiting_ends_with_the_deadline():
    assert not processes.wait_until(lambda: False, 0.05, interval=0.01)
