"""SendGrid's Email Logs (`POST /v3/logs`): which emails SendGrid knows.

Our message id stands in the details of an email only, one call each. All emails of one request share the beginning of
their id, so one look into the details says whose request it was. The list has no pages: an answer counts as whole only
when it is shorter than its limit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

from lifecycle.channels import Sought

LIMIT = 1000
"""The most emails that an answer lists."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far SendGrid's clock may be from ours."""

PEOPLE_PER_SEARCH = 5
"""A list of everything in a span of time may take one search for so many people; else each is asked for alone."""

DISCARDED = "cancel_drop"
"""The event of an email that was cancelled before its time: it was never sent."""

_SECOND = timedelta(seconds=1)


class Entry(NamedTuple):
    """One email as the list shows it."""

    sg_message_id: str
    address: str

    @property
    def request_id(self) -> str:
        """What the answer to its request said (`X-Message-Id`)."""
        return self.sg_message_id.partition(".")[0]


class Look:
    """One look for some messages.

    `search` answers a query with at most `LIMIT` entries; `details` gives everything about one, or None when there is
    nothing. Both raise what they raise.
    """

    def __init__(
        self,
        sought: list[Sought],
        *,
        message_id_key: str,
        search: Callable[[str], list[Entry]],
        details: Callable[[str], dict[str, Any] | None],
    ) -> None:
        self._sought = sought
        self._message_ids = {message.message_id for message in sought}
        self._people_of = Counter(message.address.casefold() for message in sought)
        self._message_id_key = message_id_key
        self._search = search
        self._details = details
        # What the details of one email said about its whole request: whether it carried messages looked for.
        self._is_ours: dict[str, bool] = {}

    def find(self) -> dict[str, str]:
        """Message id -> SendGrid's id of the request, empty for whom it does not know; left out: cannot be told."""
        found: dict[str, str] = {}
        for span, messages in _by_span(self._sought).items():
            everything = self._everything(*span, most_searches=len(messages) // PEOPLE_PER_SEARCH)
            for message in messages:
                entries = self._entries_of(message, span) if everything is None else everything
                provider_id = None if entries is None else self._recognised(message, entries)
                if provider_id is not None:
                    found[message.message_id] = provider_id
        return found

    def _everything(self, since: datetime, until: datetime, *, most_searches: int) -> list[Entry] | None:
        """Every email of a span of time, or None when that takes too many searches."""
        spans, found = [(since, until)], []
        while spans:
            if most_searches <= 0:
                return None
            most_searches -= 1
            start, end = spans.pop()
            entries = self._search(_within(start, end))
            if len(entries) < LIMIT:
                found += entries
            elif end - start <= _SECOND:
                return None
            else:
                middle = start + timedelta(seconds=math.ceil((end - start).total_seconds() / 2))
                spans += [(start, middle), (middle, end)]
        return found

    def _entries_of(self, message: Sought, span: tuple[datetime, datetime]) -> list[Entry] | None:
        """Every email to one address, as we wrote it and in small letters; None when the list cannot be asked."""
        found: list[Entry] = []
        for address in {message.address, message.address.lower()}:
            mark = next((mark for mark in "'\"" if mark not in address), None)
            if mark is None:
                return None
            entries = self._search(f"to_email = {mark}{address}{mark} AND {_within(*span)}")
            if len(entries) >= LIMIT:
                return None
            found += entries
        return found

    def _recognised(self, message: Sought, entries: Iterable[Entry]) -> str | None:
        """The request that carried a message; empty when none did, None when that cannot be told."""
        is_certain = True
        for entry in entries:
            if entry.address.casefold() != message.address.casefold():
                continue
            is_it = self._is(message, entry)
            if is_it:
                return entry.request_id
            is_certain = is_certain and is_it is not None
        return "" if is_certain else None

    def _is(self, message: Sought, entry: Entry) -> bool | None:
        if message.provider_id:
            return entry.request_id == message.provider_id.partition(".")[0]
        if self._people_of[message.address.casefold()] == 1 and entry.request_id in self._is_ours:
            return self._is_ours[entry.request_id]
        details = self._details(quote(entry.sg_message_id, safe=""))
        if details is None:
            return None
        message_id = (details.get("custom_args") or {}).get(self._message_id_key)
        if any(event.get("event") == DISCARDED for event in details.get("events") or []):
            self._is_ours[entry.request_id] = False
            return False
        if message_id in self._message_ids:
            self._is_ours[entry.request_id] = True
        return message_id == message.message_id


def _by_span(sought: list[Sought]) -> dict[tuple[datetime, datetime], list[Sought]]:
    """The messages by when they may have been accepted, in whole seconds; those of one request share it."""
    spans: dict[tuple[datetime, datetime], list[Sought]] = {}
    for message in sought:
        since = (message.since - CLOCKS_DIFFER).astimezone(timezone.utc).replace(microsecond=0)
        until = (message.until + CLOCKS_DIFFER + _SECOND).astimezone(timezone.utc).replace(microsecond=0)
        spans.setdefault((since, until), []).append(message)
    return spans


def _within(since: datetime, until: datetime) -> str:
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (since, until))
    return f'sg_message_id_created_at >= TIMESTAMP "{start}" AND sg_message_id_created_at < TIMESTAMP "{end}"'
