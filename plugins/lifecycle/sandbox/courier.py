"""Posts events and callbacks when their time has come, again until they are taken, and opens links as people do."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from lifecycle.channels.accounts import is_loopback
from lifecycle.sandbox.events import STATUS_OF_EVENT
from lifecycle.sandbox.people import PHONE
from lifecycle.sandbox.postbox import Postbox
from lifecycle.sandbox.signatures import sendgrid_headers, twilio_headers

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.05
AT_ONCE = 2000
CONNECTIONS = 16
TIMEOUT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 300.0

Row = sqlite3.Row


class Courier:
    """One per sandbox. It does nothing until something is switched on."""

    def __init__(self, postbox: Postbox) -> None:
        self._postbox = postbox
        self._is_needed = asyncio.Event()
        self._order = random.Random(0)
        self.counts: Counter[str] = Counter()
        self.look()

    def look(self) -> None:
        """Begin or cease, as the switches now say."""
        if self._postbox.switches.are_events_on:
            self._is_needed.set()
        else:
            self._is_needed.clear()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._is_needed.wait()
        import aiohttp

        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                await self._is_needed.wait()
                if not await self._work(session):
                    await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _work(self, session: aiohttp.ClientSession) -> int:
        """Do what is due; gives how much that was."""
        self._postbox.release()
        storage = self._postbox.storage
        due = storage.rows("due_happenings", now=self._postbox.now, limit=AT_ONCE)
        if not due:
            return 0
        with storage.transaction():
            storage.many("set_status", [status for row in due if (status := _status(row))])
        if self._postbox.switches.webhooks.shuffle:
            self._order.shuffle(due)
        settled = await asyncio.gather(*self._deliveries(session, due))
        with storage.transaction():
            storage.many("settle_happening", [row for rows in settled for row in rows])
        return len(due)

    def _deliveries(self, session: aiohttp.ClientSession, due: list[Row]) -> list[Awaitable[list[dict[str, Any]]]]:
        size = self._postbox.switches.webhooks.batch_size
        events = [row for row in due if row["kind"] == "sendgrid"]
        alone: dict[str, Callable[[Any, Row], Awaitable[bool]]] = {
            "status": self._status_callback,
            "inbound": self._inbound,
            "click": self._click,
            "buy": self._buy,
        }
        batches = [events[start : start + size] for start in range(0, len(events), size)]
        return [
            *(self._settled(self._event_batch(session, batch), batch) for batch in batches),
            *(self._settled(alone[row["kind"]](session, row), [row]) for row in due if row["kind"] in alone),
        ]

    async def _settled(self, delivery: Awaitable[bool], rows: list[Row]) -> list[dict[str, Any]]:
        try:
            is_taken = await delivery
        except ValueError:  # an address that is none
            self.counts["malformed"] += 1
            is_taken = True
        return [self._next(row, is_taken) for row in rows]

    def _next(self, row: Row, is_taken: bool) -> dict[str, Any]:
        """What is noted about one of them: done, given up, or when it is tried again."""
        webhooks, now = self._postbox.switches.webhooks, self._postbox.now
        if is_taken:
            return {"id": row["id"], "state": "done", "due_at": now}
        if row["attempts"] + 1 >= webhooks.max_attempts:
            self.counts["given_up"] += 1
            return {"id": row["id"], "state": "given_up", "due_at": now}
        wait = min(webhooks.retry_seconds * 2 ** row["attempts"], LONGEST_WAIT_SECONDS)
        return {"id": row["id"], "state": "pending", "due_at": now + wait}

    async def _event_batch(self, session: aiohttp.ClientSession, rows: list[Row]) -> bool:
        url = self._postbox.switches.webhooks.sendgrid_url
        if not url:
            return True
        # SendGrid separates events by line breaks and ends with one; a signature is over every byte of it.
        body = ("[" + ",\r\n".join(row["payload"] for row in rows) + "]\r\n").encode()
        headers = sendgrid_headers(body, int(time.time()))
        headers |= {"Content-Type": "application/json", "User-Agent": "SendGrid Event API"}
        return await self._post(session, url, body, headers)

    async def _status_callback(self, session: aiohttp.ClientSession, row: Row) -> bool:
        webhooks = self._postbox.switches.webhooks
        return not (webhooks.twilio_status and row["url"]) or await self._form(session, row["url"], row)

    async def _inbound(self, session: aiohttp.ClientSession, row: Row) -> bool:
        url = self._postbox.switches.webhooks.twilio_inbound_url
        return not url or await self._form(session, url, row)

    async def _form(self, session: aiohttp.ClientSession, url: str, row: Row) -> bool:
        """Post a Twilio form: signed for the address the world knows, delivered to where the receiver is."""
        target = self._target(url)
        if not self._may_reach(target):
            self.counts["not_local"] += 1
            return True
        form: dict[str, str] = json.loads(row["payload"])
        headers = twilio_headers(url, form)
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "TwilioProxy/1.1"}
        headers["I-Twilio-Idempotency-Token"] = f"sandbox-{row['id']}"
        return await self._post(session, target, urlencode(form).encode(), headers)

    async def _post(self, session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> bool:
        import aiohttp

        self.counts["posted"] += 1
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                is_taken = 200 <= answer.status < 300
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
            is_taken = False
        self.counts["taken" if is_taken else "refused"] += 1
        return is_taken

    async def _click(self, session: aiohttp.ClientSession, row: Row) -> bool:
        """Open a link as a phone does, on this machine only and no further than its first answer."""
        import aiohttp

        target = self._target(row["url"])
        if not is_loopback(target):
            self.counts["not_local"] += 1
            return True
        try:
            async with session.get(target, headers={"User-Agent": PHONE}, allow_redirects=False) as answer:
                await answer.read()
            self.counts["clicked"] += 1
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
            self.counts["click_failed"] += 1
        return True

    async def _buy(self, session: aiohttp.ClientSession, row: Row) -> bool:
        self.counts["bought"] += 1
        return True

    def _target(self, url: str) -> str:
        """Where an address of the public receiver is answered on this machine."""
        webhooks = self._postbox.switches.webhooks
        public = webhooks.public_url.rstrip("/")
        if public and webhooks.receiver_url and f"{url}/".startswith(f"{public}/"):
            return webhooks.receiver_url.rstrip("/") + url[len(public) :]
        return url

    def _may_reach(self, url: str) -> bool:
        """This machine, and the hosts that were named when webhooks were switched on; never an address from a message."""
        webhooks = self._postbox.switches.webhooks
        named = {urlsplit(known).netloc for known in (webhooks.receiver_url, webhooks.twilio_inbound_url) if known}
        return is_loopback(url) or urlsplit(url).netloc in named


def _status(row: Row) -> dict[str, Any] | None:
    """The provider's new word about a message, when it is told for the first time."""
    if row["attempts"]:
        return None
    if row["kind"] == "status":
        return {"number": row["number"], "status": row["name"]}
    status = STATUS_OF_EVENT.get(row["name"]) if row["kind"] == "sendgrid" else None
    return {"number": row["number"], "status": status} if status else None
