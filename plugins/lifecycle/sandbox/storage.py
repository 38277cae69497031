"""Keeps what the sandbox received in one SQLite file, so that it survives a restart."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lifecycle.sandbox.messages import Received, email_content

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Message:
    """One stored message, as the JSON API gives it and the inbox shows it."""

    id: int
    channel: str
    provider: str
    provider_id: str
    message_id: str | None
    to_address: str
    sender: str
    subject: str
    html: str
    text: str
    headers: dict[str, str]
    sms_parts: int | None
    encoding: str | None
    received_at: str
    request: str


@dataclass(frozen=True)
class Filter:
    """Which messages are asked for. `to_address` is exact, `person` any part of it; letter case never matters."""

    to_address: str | None = None
    person: str | None = None
    channel: str | None = None
    before_id: int | None = None
    limit: int = 100
    offset: int = 0


class Storage:
    """The messages of one sandbox.

    It has one connection and is used from one thread, the event loop's: a write takes well under a millisecond, which
    is less than handing it to another thread would.
    """

    def __init__(self, database_path: Path) -> None:
        database_path.parent.mkdir(parents=True, exist_ok=True)
        # Names, addresses and words of people: for nobody but the owner.
        database_path.touch(mode=0o600)
        self._connection = sqlite3.connect(database_path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.executescript(_sql("schema"))

    def close(self) -> None:
        """Put everything into the file and let go of it."""
        self._connection.close()

    def keep(self, body: str, messages: Iterable[Received]) -> None:
        """Store one accepted request with all its messages, or nothing of it."""
        received_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._connection.execute("begin immediate")
        with self._connection:
            row = self._rows("insert_request", received_at=received_at, body=body)[0]
            self._connection.executemany(
                _sql("insert_message"),
                [{**asdict(message), "request_id": row["request_id"]} for message in messages],
            )

    def newest(self, wanted: Filter) -> list[Message]:
        """The newest messages first."""
        return _messages(self._rows("newest_messages", **asdict(wanted)))

    def since(self, since_id: int, wanted: Filter) -> list[Message]:
        """What came after a message, oldest first: a reader who continues from the last one misses nothing."""
        return _messages(self._rows("messages_since", since_id=since_id, **asdict(wanted)))

    def message(self, number: int) -> Message | None:
        """One message by its number."""
        return next(iter(_messages(self._rows("one_message", id=number))), None)

    def sms(self, sid: str) -> Message | None:
        """One SMS by its Twilio SID."""
        return next(iter(_messages(self._rows("message_by_provider_id", provider_id=sid))), None)

    def deliveries(self) -> dict[str, int]:
        """How often each of our message ids was accepted; more than once is a duplicate somebody received."""
        return {row["message_id"]: row["deliveries"] for row in self._rows("deliveries")}

    def totals(self) -> dict[str, dict[str, int]]:
        """Messages and SMS parts by channel."""
        return {row["channel"]: {"messages": row["messages"], "parts": row["parts"]} for row in self._rows("totals")}

    def clear(self) -> None:
        """Forget everything."""
        self._connection.execute("begin immediate")
        with self._connection:
            self._rows("delete_messages")
            self._rows("delete_requests")

    def _rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(_sql(statement), values).fetchall()


@functools.cache
def _sql(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def _messages(rows: Iterable[sqlite3.Row]) -> list[Message]:
    parsed: dict[int, Any] = {}
    return [_message(row, parsed) for row in rows]


def _message(row: Mapping[str, Any] | sqlite3.Row, parsed: dict[int, Any]) -> Message:
    columns = dict(row)
    request_id, position = columns.pop("request_id"), columns.pop("position")
    if columns["channel"] == "sms":
        return Message(**columns, html="", headers={})
    if request_id not in parsed:
        parsed[request_id] = json.loads(columns["request"])
    content = email_content(parsed[request_id], position)
    return Message(**{**columns, "text": content.text}, html=content.html, headers=content.headers)
