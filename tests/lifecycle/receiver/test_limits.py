"""Floods, slow clients and giants: refused in time, while genuine requests go on (threat T7)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.testclient import TestClient
from tests.lifecycle.receiver.providers import SendGrid

from lifecycle.receiver import limits, server
from lifecycle.receiver.app import create_app
from lifecycle.receiver.keys import WebhookKeys


@pytest.fixture
def address(sendgrid: SendGrid, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A receiver on a port of its own, impatient so that the tests are quick."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 1)
    monkeypatch.setattr(server, "HEADER_SECONDS", 1)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 60)
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(WebhookKeys((sendgrid.public_key,)))
    running = uvicorn.Server(server.config(app, 0, "127.0.0.1"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        running.should_exit = True
        thread.join(timeout=10)


def exchange(address: tuple[str, int], *pieces: bytes, pause: float = 0.0) -> bytes:
    """What the receiver answers to raw bytes, until it hangs up."""
    with socket.create_connection(address, timeout=60) as stream:
        answer = b""
        try:
            for piece in pieces:
                stream.sendall(piece)
                time.sleep(pause)
            while received := stream.recv(65536):
                answer += received
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


POST = b"POST /sendgrid/events HTTP/1.1\r\nHost: x\r\n"
RAW: list[tuple[str, bytes, bytes]] = [
    ("an announced giant", POST + b"Content-Length: 2000000000\r\n\r\n", b"413"),
    (
        "a chunked giant",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17,
        b"413",
    ),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", b"400"),
    ("two lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]]", b"400"),
    ("a head without end", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000, b"400"),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    (
        "an upgrade",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        b"200",
    ),
]


@pytest.mark.parametrize(("request_bytes", "status"), [row[1:] for row in RAW], ids=[row[0] for row in RAW])
def test_t7_what_is_no_decent_request_is_refused(address: tuple[str, int], request_bytes: bytes, status: bytes) -> None:
    assert exchange(address, request_bytes).startswith(b"HTTP/1.1 " + status)


def test_t7_slow_clients_are_hung_up_on_while_others_are_served(address: tuple[str, int]) -> None:
    slow = [socket.create_connection(address, timeout=60) for _ in range(40)]
    for number, stream in enumerate(slow):
        stream.sendall(b"GET /health HTTP/1.1\r\nHo" if number % 2 else POST + b"Content-Length: 100\r\n\r\n[")
    started = time.monotonic()
    url = f"http://{address[0]}:{address[1]}/health"
    for _ in range(20):
        assert httpx2.get(url, trust_env=False).status_code == 200
    assert time.monotonic() - started < 30
    for number, stream in enumerate(slow):
        answer = stream.recv(65536)
        assert answer == b"" if number % 2 else answer.startswith(b"HTTP/1.1 408")
        stream.close()


def test_t7_a_trickled_head_is_hung_up_on(address: tuple[str, int]) -> None:
    started = time.monotonic()
    assert exchange(address, *[b"GET /health HTTP/1.1\r\n", *[b"A: b\r\n"] * 40], pause=0.1) == b""
    assert time.monotonic() - started < 30


def test_t7_too_many_connections_are_told_to_come_back(address: tuple[str, int]) -> None:
    held = [socket.create_connection(address, timeout=60) for _ in range(70)]
    answer = exchange(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503")
    for stream in held:
        stream.close()


def test_t7_a_connection_is_used_again(address: tuple[str, int]) -> None:
    with httpx2.Client(trust_env=False) as client:
        for _ in range(3):
            assert client.get(f"http://{address[0]}:{address[1]}/health").status_code == 200
            time.sleep(0.5)


def test_t7_who_waits_for_the_database_is_bounded(sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(WebhookKeys((sendgrid.public_key,)))
    app.state.limits.working = limits.MAX_WORKING
    answer = sendgrid.post(TestClient(app), [])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert TestClient(app).get("/health").status_code == 200


def test_t7_all_bodies_together_are_bounded(sendgrid: SendGrid, empty_database: str) -> None:
    app = create_app(WebhookKeys((sendgrid.public_key,)))
    app.state.limits.buffered = limits.MAX_BUFFERED_BYTES
    assert sendgrid.post(TestClient(app), []).status_code == 503
    app.state.limits.buffered = 0
    assert sendgrid.post(TestClient(app), []).status_code == 200
    assert (app.state.limits.buffered, app.state.limits.working) == (0, 0)


def test_an_unexpected_failure_is_worth_another_try_and_says_nothing(
    sendgrid: SendGrid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("aiko@example.com")

    monkeypatch.setattr("lifecycle.receiver.webhooks.parse_events", fail)
    answer = sendgrid.post(TestClient(create_app(WebhookKeys((sendgrid.public_key,)))), [])
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "30", b"")
    assert "KeyError" in caplog.text
    assert "aiko" not in caplog.text
