"""Keeps what the sandbox received in one SQLite file, so that it survives a restart."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lifecycle.sandbox.clock import as_text
from lifecycle.sandbox.messages import Received, email_content

_SQL = Path(__file__).parent / "sql"
_AT_ONCE = {"state": "sent"}

PAUSE_SECONDS = 72 * 3600
"""A paused message that is older than this is discarded."""


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
    state: str
    """`scheduled` until `send_at`, then `sent`, or `cancelled` with its batch."""
    send_at: str | None
    batch_id: str | None
    sent_at: float | None
    status: str | None
    """The provider's last word about it; none before it spoke."""


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
        # The end of this process loses nothing then; only that of the whole machine could.
        self._connection.execute("pragma synchronous = off")
        self._connection.execute("pragma wal_autocheckpoint = 8000")
        self._connection.execute("pragma cache_size = -65536")
        if self.rows("is_first_version")[0]["is_first_version"]:
            self._connection.executescript(_sql("upgrade"))
        self._connection.executescript(_sql("schema"))

    def close(self) -> None:
        """Put everything into the file and let go of it."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored, or nothing of it."""
        self._connection.execute("begin immediate")
        with self._connection:
            yield

    def keep(self, body: str, messages: list[Received], now: float, batch_id: str | None = None) -> range:
        """Store one accepted request with all its messages, inside a transaction; gives their numbers.

        What has a time to come, or a batch that was stopped, is held back.
        """
        request_id = self._run("insert_request", received_at=as_text(now), body=body).lastrowid
        is_stopped = bool(batch_id and self.batch_status(batch_id))
        shared = {"request_id": request_id, "now": now, "batch_id": batch_id}
        self._connection.executemany(
            _sql("insert_message"),
            [{**vars(message), **shared, **_held(message, now, is_stopped)} for message in messages],
        )
        last = self.rows("last_number")[0]["number"]
        return range(last - len(messages) + 1, last + 1)

    def has_due(self, now: float) -> bool:
        """Whether something held back has reached its time."""
        first = self.rows("first_scheduled")[0]["send_at"]
        return first is not None and first <= now

    def release(self, now: float) -> dict[int, str]:
        """Let go of what was held back until now, inside a transaction; gives what became of each message."""
        return {row["id"]: row["state"] for row in self.rows("release_due", now=now, pause_seconds=PAUSE_SECONDS)}

    def batch_status(self, batch_id: str) -> str | None:
        """Whether a batch is cancelled or paused."""
        found = self.rows("batch", batch_id=batch_id)
        return found[0]["status"] if found else None

    def newest(self, wanted: Filter) -> list[Message]:
        """The newest messages first."""
        return _messages(self.rows("newest_messages", **asdict(wanted)))

    def since(self, since_id: int, wanted: Filter) -> list[Message]:
        """What came after a message, oldest first: a reader who continues from the last one misses nothing."""
        return _messages(self.rows("messages_since", since_id=since_id, **asdict(wanted)))

    def message(self, number: int) -> Message | None:
        """One message by its number."""
        return next(iter(_messages(self.rows("one_message", id=number))), None)

    def position(self, number: int) -> int:
        """Which personalization of its request a message came from."""
        return self.rows("one_message", id=number)[0]["position"]

    def sms_list(self, **wanted: Any) -> list[Message]:
        """What Twilio's list of messages shows."""
        return _messages(self.rows("sms_list", **wanted))

    def sms(self, sid: str) -> Message | None:
        """One SMS by its Twilio SID."""
        return next(iter(_messages(self.rows("message_by_provider_id", provider_id=sid))), None)

    def deliveries(self, at_least: int = 1) -> dict[str, int]:
        """How often each of our message ids went out; more than once is a duplicate somebody received."""
        return {row["message_id"]: row["deliveries"] for row in self.rows("deliveries", at_least=at_least)}

    def stats(self) -> dict[str, Any]:
        """Everything in numbers: by channel and state, and how the deliveries add up."""
        channels: dict[str, dict[str, int]] = {"email": {}, "sms": {}}
        for row in self.rows("stats"):
            channels[row["channel"]][row["state"]] = row["messages"]
        empty = dict.fromkeys(("sent", "scheduled", "cancelled"), 0)
        return {
            **{channel: {**empty, **states} for channel, states in channels.items()},
            **dict(self.rows("stats_of_requests")[0]),
            **dict(self.rows("delivery_totals")[0]),
        }

    def totals(self) -> dict[str, dict[str, int]]:
        """Messages and SMS parts by channel."""
        return {row["channel"]: {"messages": row["messages"], "parts": row["parts"]} for row in self.rows("totals")}

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for statement in ("delete_happenings", "delete_messages", "delete_requests"):
                self.rows(statement)

    def many(self, statement: str, values: Iterable[Mapping[str, Any]]) -> None:
        """Run one of the statements once for each set of values."""
        self._connection.executemany(_sql(statement), values)

    def rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """What one of the statements gives."""
        return self._run(statement, **values).fetchall()

    def _run(self, statement: str, **values: Any) -> sqlite3.Cursor:
        return self._connection.execute(_sql(statement), values)


@functools.cache
def _sql(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def _held(message: Received, now: float, is_stopped: bool) -> Mapping[str, Any]:
    """Whether a message waits, and until when; one of a stopped batch waits for the batch's fate, however late it is."""
    send_at = message.send_at or 0
    return {"state": "scheduled", "send_at": max(send_at, now)} if send_at > now or is_stopped else _AT_ONCE


def _messages(rows: Iterable[sqlite3.Row]) -> list[Message]:
    parsed: dict[int, Any] = {}
    return [_message(row, parsed) for row in rows]


def _message(row: Mapping[str, Any] | sqlite3.Row, parsed: dict[int, Any]) -> Message:
    columns = dict(row)
    request_id, position = columns.pop("request_id"), columns.pop("position")
    del columns["accepted_at"]
    columns["send_at"] = as_text(columns["send_at"]) if columns["send_at"] else None
    if columns["channel"] == "sms":
        return Message(**columns, html="", headers={})
    if request_id not in parsed:
        parsed[request_id] = json.loads(columns["request"])
    content = email_content(parsed[request_id], position)
    return Message(**{**columns, "text": content.text}, html=content.html, headers=content.headers)
