"""What recipients do with a message: the same person does the same thing every time (seed and message id decide). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from lifecycle.sandbox.switches import People

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
"""What a phone calls itself."""

Step = tuple[str, float]
"""What happens, and how many seconds after the message went out."""


def chance(seed: int, key: str, what: str) -> float:
    """A number below 1 that depends on nothing else; a higher rate therefore only adds people, it swaps none."""
    digest = hashlib.blake2b(f"{seed}/{key}/{what}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def email_story(key: str, people: People) -> list[Step]:
    """What becomes of one email, in order."""
    return _timed(key, people, _email_steps(_Person(key, people)))


def sms_story(key: str, people: People, *, by_service: bool) -> list[Step]:
    """What becomes of one SMS, in order; one sent by a service is queued first, with a sender it is so at once."""
    return _timed(key, people, _sms_steps(_Person(key, people), by_service))


class _Person:
    def __init__(self, key: str, people: People) -> None:
        self._key = key
        self._people = people

    def will(self, what: str) -> bool:
        share: float = getattr(self._people, what)
        return share > 0 and chance(self._people.seed, self._key, what) < share


def _email_steps(person: _Person) -> Iterator[str]:
    if person.will("drop"):
        yield "dropped"
        return
    yield "processed"
    if person.will("defer"):
        yield "deferred"
    if person.will("bounce"):
        yield "bounce"
        return
    yield "delivered"
    clicks = person.will("click")
    if clicks or person.will("open"):
        yield "open"
    if clicks:
        yield "click"
    if person.will("buy"):
        yield "buy"
    if person.will("complain"):
        yield "spamreport"
    if person.will("unsubscribe"):
        yield "unsubscribe"


def _sms_steps(person: _Person, by_service: bool) -> Iterator[str]:
    if by_service:
        yield "queued"
    yield "sent"
    if person.will("bounce"):
        yield "undelivered"
        return
    yield "delivered"
    if person.will("click"):
        yield "click"
    if person.will("buy"):
        yield "buy"
    if person.will("reply_stop"):
        yield "stop"


def _timed(key: str, people: People, steps: Iterator[str]) -> list[Step]:
    least, most = people.delay_seconds
    story: list[Step] = []
    after = 0.0
    for name in steps:
        after += least + (most - least) * chance(people.seed, key, f"delay of {name}") if most else 0.0
        story.append((name, after))
    return story
