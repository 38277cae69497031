"""A provider that takes everything at once: it answers like SendGrid and Twilio, and counts who was sent to.

A process of its own, on one thread without a framework, so that it is never what is measured. `python -m bench.sink`
prints its port; `GET /counts` says what came, `DELETE /counts?latency_ms=80` starts over.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections import deque
from urllib.parse import parse_qs, urlsplit

_RECIPIENT = re.compile(rb'"to":\s*\[\{[^}]*?"email":\s*"([^"]+)"')
_NUMBER = re.compile(rb"(?:^|&)To=([^&]+)")
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_LARGEST_READ = 1 << 20


class Sink:
    """Connections, what came over them, and the answers that still wait for their time."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._unread: dict[socket.socket, bytearray] = {}
        self._waiting: deque[tuple[float, socket.socket, bytes]] = deque()
        self._latency = 0.0
        self._forget()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._listener.getsockname()[1]

    def serve(self) -> None:
        """Answer until killed."""
        while True:
            wait = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, connection, answer = self._waiting.popleft()
                self._write(connection, answer)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_LARGEST_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        unread = self._unread[connection]
        unread += data
        while request := _taken(unread):
            self._handle(connection, *request)

    def _handle(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        if target.startswith(b"/counts"):
            self._write(connection, _answer("200 OK", self._counts(method, target.decode())))
            return
        found = _RECIPIENT.findall(body) if target.endswith(b"/mail/send") else _NUMBER.findall(body)
        self._requests += 1
        for recipient in found:
            if recipient in self._reached:
                self._twice += 1
            else:
                self._reached.add(recipient)
        answer = self._mail_answer() if target.endswith(b"/mail/send") else self._sms_answer()
        if b"connection: close" in head.lower():
            answer = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        if self._latency:
            self._waiting.append((time.monotonic() + self._latency, connection, answer))
        else:
            self._write(connection, answer)

    def _mail_answer(self) -> bytes:
        return _answer("202 Accepted", b"", f"X-Message-Id: sink{self._requests:018d}\r\n")

    def _sms_answer(self) -> bytes:
        return _answer("201 Created", _SMS % (b"%032x" % self._requests))

    def _counts(self, method: bytes, target: str) -> bytes:
        if method == b"DELETE":
            self._latency = float(parse_qs(urlsplit(target).query).get("latency_ms", ["0"])[0]) / 1000
            self._forget()
        used = time.process_time()
        counts = {"requests": self._requests, "people": len(self._reached), "twice": self._twice, "seconds": used}
        return json.dumps(counts).encode()

    def _forget(self) -> None:
        self._requests, self._twice = 0, 0
        self._reached: set[bytes] = set()

    def _write(self, connection: socket.socket, answer: bytes) -> None:
        try:
            # Answers are far smaller than the buffer of a socket.
            connection.sendall(answer)
        except OSError:
            self._close(connection)
            return
        if b"\r\nConnection: close\r\n" in answer:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        if self._unread.pop(connection, None) is not None:
            self._selector.unregister(connection)
        connection.close()


def _taken(unread: bytearray) -> tuple[bytes, bytes] | None:
    """The first whole request of what was read, taken away from it."""
    end = unread.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(unread[:end])
    length = _LENGTH.search(head)
    size = end + 4 + (int(length[1]) if length else 0)
    if len(unread) < size:
        return None
    body = bytes(unread[end + 4 : size])
    del unread[:size]
    return head, body


def _answer(status: str, body: bytes, headers: str = "") -> bytes:
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


_SMS = json.dumps(
    {
        "account_sid": "AC" + "0" * 32,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Tue, 31 Mar 2026 09:00:00 +0000",
        "date_sent": None,
        "date_updated": "Tue, 31 Mar 2026 09:00:00 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": "+15005550006",
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": "SM%s",
        "status": "queued",
        "subresource_uris": {"media": "/2010-04-01/Media.json"},
        "to": "+15005550009",
        "uri": "/2010-04-01/Messages.json",
    }
).encode()


if __name__ == "__main__":
    sink = Sink()
    sys.stdout.write(f"{sink.port}\n")
    sys.stdout.flush()
    sink.serve()
