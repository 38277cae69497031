"""Takes messages in, holds back what has a time to come, lets it go, and plans what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lifecycle.sandbox.events import Happening, Outgoing, email_happenings, form_of, sms_happenings
from lifecycle.sandbox.messages import Received
from lifecycle.sandbox.people import chance
from lifecycle.sandbox.storage import Storage
from lifecycle.sandbox.switches import Switches, Webhooks

DUPLICATE_AFTER_SECONDS = 0.05


class Postbox:
    """The way in, for both providers."""

    def __init__(self, storage: Storage, switches: Switches) -> None:
        self.storage = storage
        self.switches = switches

    @property
    def now(self) -> float:
        """The time by the sandbox's clock."""
        return self.switches.clock.now()

    def accept(self, body: str, messages: list[Received], batch_id: str | None = None) -> float:
        """Keep a request for good: after this it counts, whatever becomes of the answer. Gives when that was."""
        now = self.now
        with self.storage.transaction():
            numbers = self.storage.keep(body, messages, now, self._batch_of(batch_id))
            if self.switches.are_events_on:
                self._plan(numbers)
        if batch_id:
            self.release()
        return now

    def release(self) -> None:
        """Let go of what is due by now; called before anything is read, so that nobody sees a message late."""
        now = self.now
        if not self.storage.has_due(now):
            return
        with self.storage.transaction():
            released = self.storage.release(now)
            if self.switches.are_events_on:
                self._plan(number for number, state in released.items() if state == "sent")

    def _batch_of(self, batch_id: str | None) -> str | None:
        """The batch a request belongs to, unless it came too late for the cancellation and is to be sent."""
        if not batch_id or self.switches.behaviour.after_cancel == "drop":
            return batch_id
        return None if self.storage.batch_status(batch_id) == "cancel" else batch_id

    def _plan(self, numbers: Iterable[int]) -> None:
        webhooks = self.switches.webhooks
        planned = [
            {**vars(one), "payload": json.dumps(one.payload), "due_at": due_at}
            for one in self._happenings(numbers)
            for due_at in _times(one, webhooks)
        ]
        self.storage.many("insert_happening", planned)

    def _happenings(self, numbers: Iterable[int]) -> Iterable[Happening]:
        people, webhooks = self.switches.people, self.switches.webhooks
        requests: dict[int, Any] = {}
        for row in self.storage.rows("messages_to_report", numbers=json.dumps(list(numbers))):
            columns = dict(row)
            request_id = columns.pop("request_id")
            if request_id not in requests:
                body = self.storage.rows("request_body", request_id=request_id)[0]["body"]
                requests[request_id] = json.loads(body) if row["channel"] == "email" else form_of(body)
            message, request = Outgoing(**columns), requests[request_id]
            if message.channel == "email":
                yield from email_happenings(message, request, people)
            else:
                yield from sms_happenings(message, request, people, webhooks)


def _times(one: Happening, webhooks: Webhooks) -> list[float]:
    """When it is told: once, or once more a little later."""
    is_told = one.kind in {"sendgrid", "status", "inbound"}
    if is_told and chance(0, f"{one.number}/{one.name}", "is told twice") < webhooks.duplicates:
        return [one.due_at, one.due_at + DUPLICATE_AFTER_SECONDS]
    return [one.due_at]
