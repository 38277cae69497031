"""Small web servers that a test starts on a free port of its own and stops again."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from lifecycle.sandbox.app import bound_socket, create_app


@contextlib.contextmanager
def running_sandbox(database_path: Path) -> Iterator[str]:
    """The sandbox on a free port; gives its address."""
    listening = bound_socket(0)
    server = uvicorn.Server(uvicorn.Config(create_app(database_path), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    # Connections wait in the socket's queue until the server accepts them, so nobody has to wait for the start.
    listening.listen(128)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


class _Misbehaving(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: bytes, behaviour: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answer = answer
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.stopping = threading.Event()


class _Connection(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        self.server.requests.append(self._request())
        if self.server.behaviour == "silent":
            self.server.stopping.wait(30)
        elif self.server.behaviour == "reset":
            # Lingering for no time at all makes the kernel send a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.wfile.write(self.server.answer)

    def _request(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return head
            head += line
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + self.rfile.read(int(lengths[0].split(b":")[1])) if lengths else head


@contextlib.contextmanager
def misbehaving(
    answer: bytes = b"", behaviour: str = "answer", tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives every request the same raw answer, or none; gives its address and what it was sent."""
    server = _Misbehaving(answer, behaviour, tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}", server.requests
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def http_answer(status: int, body: str = "", headers: dict[str, str] | None = None) -> bytes:
    """The bytes of an HTTP answer."""
    content = body.encode()
    lines = {"Content-Length": str(len(content)), "Connection": "close", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + content
