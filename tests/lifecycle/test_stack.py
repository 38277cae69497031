from __future__ import annotations

import random
import socket
from threading import Thread
from urllib.request import urlopen

import pytest

from lifecycle import processes, stack
from lifecycle.errors import LifecycleError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    monkeypatch.delenv("LIFECYCLE_SANDBOX_URL", raising=False)
    yield tmp_path
    stack.stop_all()


@pytest.fixture
def taken_port(monkeypatch):
    """The sandbox's preferred port, held by another program.

    Below the ports that systems hand out themselves (from 32768): asking one of those before its server listens can
    connect the asking socket to itself, and the server then finds its port taken.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", processes.free_port(random.randrange(20_000, 30_000))))
        other.listen()
        monkeypatch.setattr(stack, "SANDBOX_PORT", other.getsockname()[1])
        yield stack.SANDBOX_PORT


def test_the_sandbox_answers_where_it_says_until_everything_is_stopped():
    assert stack.sandbox_url() == ""
    url = stack.start_sandbox()
    assert urlopen(f"{url}/health").status == 200
    assert (stack.sandbox_url(), stack.running()) == (url, ["sandbox"])
    assert stack.stop_all() == ["sandbox"]
    assert (stack.sandbox_url(), stack.running()) == ("", [])


def test_starting_it_again_gives_the_running_one():
    url = stack.start_sandbox()
    pid = processes.find("sandbox")
    assert stack.start_sandbox() == url
    assert processes.find("sandbox") == pid


def test_a_taken_port_is_said_and_another_one_used(taken_port):
    said = []
    url = stack.start_sandbox(said.append)
    assert url != f"http://127.0.0.1:{taken_port}"
    assert said == [f"Port {taken_port} is taken by another program: sandbox uses {url.rpartition(':')[2]}."]


def test_a_program_that_answers_no_http_is_not_a_ready_server():
    def echo() -> None:
        connection, _ = other.accept()
        with connection:
            connection.sendall(connection.recv(4096))

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        Thread(target=echo, daemon=True).start()
        assert stack._answers(f"http://127.0.0.1:{other.getsockname()[1]}/health") is False


def test_a_server_that_ends_while_starting_is_one_line_with_its_last_words():
    processes.log_file("broken").parent.mkdir(parents=True)
    processes.log_file("broken").write_text("the reason\n")
    with pytest.raises(LifecycleError, match="broken ended while starting: the reason"):
        stack._wait_healthy(["broken"], lambda: False, timeout=5)


def test_a_configured_sandbox_is_used_instead_of_the_local_one(monkeypatch):
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", "http://127.0.0.1:1/")
    assert stack.sandbox_url() == "http://127.0.0.1:1"


def test_a_heartbeat_of_an_earlier_start_is_told_from_one_of_this_start():
    old = stack._heartbeat({"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T10:00:00.500000Z"})
    new = stack._heartbeat({"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T10:00:01+00:00"})
    assert stack._heartbeat({"status": None, "latest_scheduler_heartbeat": None}) < old < new
