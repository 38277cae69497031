"""Factoring: one email to many people becomes few requests, each with the shared words once (C-01).

Every person's message is rendered in full, as a list of pieces. Pieces that are equal for everybody of a request are its
skeleton; the others become the provider's substitutions, so that replacing the tags gives back the full message, byte
for byte.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from lifecycle import links, rendering, settings
from lifecycle.channels import BatchRecipient, EmailBatch
from lifecycle.errors import LifecycleError
from lifecycle.rendering import EmailTemplates, Recipient, UnrenderableError

if TYPE_CHECKING:
    from lifecycle.journey import Journey, Step

_T = TypeVar("_T")
# Words everybody reads, and numbers where personal ones go.
_Part = list[str | int]

PER_REQUEST = 500
MAX_PER_REQUEST = 1000
"""SendGrid's own limit; with it no request of ours comes near 20 MB, as every message and person is limited too."""

MAX_SUBSTITUTION_BYTES = 10_000
"""SendGrid's limit per person. Measured as JSON, which is never less than what it may be counting."""

# A group of people whose own words are longer than this on average is split where many of them share a long piece.
_LONG_CHARACTERS = 1_000
# How often a piece has to be shared for that.
_SHARED_BY = 4
# No character takes more than twelve bytes of JSON: two escapes of six for one outside the basic plane.
_MOST_JSON_BYTES = 12

_TAG_START = "-lc"
_TAG_END = "_"
_LONGEST_SALT = 6
# The longest beginning of a tag up to its number; what is further from a boundary cannot be part of one across it.
_EDGE = len(_TAG_START) + _LONGEST_SALT
_SALTED = re.compile(rf"{_TAG_START}([a-z]{{0,{_LONGEST_SALT}}})")


class Addressed(NamedTuple):
    """One message to be factored: what it is rendered from, and where it goes."""

    recipient: Recipient
    to: str


@dataclass(frozen=True)
class Factored:
    """The requests of a step's message.

    `unrenderable` says by message id why somebody gets none; `link_names` which links each message uses.
    """

    batches: list[EmailBatch]
    unrenderable: dict[str, str]
    link_names: dict[str, frozenset[str]]


class _Printed(NamedTuple):
    """A person's message in pieces: subject, HTML, text. Those of one `shape` have as many of each."""

    message_id: str
    to: str
    unsubscribe_url: str
    pieces: list[str]
    shape: tuple[int, int, int]


def factor(journey: Journey, step: Step, people: Iterable[Addressed], per_request: int = PER_REQUEST) -> Factored:
    """The requests that give everybody exactly the message that `rendering.render` would.

    A person whose template does not work is named in the result and harms nobody else.
    """
    if not 1 <= per_request <= MAX_PER_REQUEST:
        raise ValueError(f"{per_request} people per request; 1 to {MAX_PER_REQUEST} are possible")
    people = list(people)
    try:
        printer = _Printer(journey, step)
    except LifecycleError as error:
        return Factored([], {person.recipient.message_id: str(error) for person in people}, {})
    printed = [found for person in people if (found := printer.printed(person))]
    batches = [
        batch
        for group in _by_shape(printed)
        for chunk in _without_duplicates(group, per_request)
        for batch in _batches(chunk)
    ]
    return Factored(batches, printer.unrenderable, printer.link_names)


def reconstruct(batch: EmailBatch, recipient: BatchRecipient) -> tuple[str, str, str]:
    """What a person reads: subject, HTML and text with every tag replaced, as the provider does it."""
    if not recipient.substitutions:
        return batch.subject, batch.html, batch.text
    tags = re.compile("|".join(map(re.escape, recipient.substitutions)))

    def filled(words: str) -> str:
        return tags.sub(lambda found: recipient.substitutions[found[0]], words)

    return filled(batch.subject), filled(batch.html), filled(batch.text)


class _Printer:
    """Renders one person after the other, and keeps what went wrong and which links were used."""

    def __init__(self, journey: Journey, step: Step) -> None:
        self._pinned = rendering.pinned_environment()
        self._stem = f"{journey.name}/{step.message.template}"
        self._shared = rendering.shared_values(journey.name, _url_maker())
        self._templates: dict[str | None, EmailTemplates] = {}
        self._link_sets: dict[frozenset[str], frozenset[str]] = {}
        self.unrenderable: dict[str, str] = {}
        self.link_names: dict[str, frozenset[str]] = {}

    def printed(self, person: Addressed) -> _Printed | None:
        recipient = person.recipient
        used: set[str] = set()
        try:
            email = self._of_locale(recipient.customer.locale)
            values = rendering.message_values(self._shared, recipient, used)
            html, text = rendering.pieces(email.page, values), rendering.pieces(email.text, values)
            subject = rendering.one_line(email.subject, values)
        except (UnrenderableError, LifecycleError) as error:
            self.unrenderable[recipient.message_id] = str(error)
            return None
        names = frozenset(used)
        self.link_names[recipient.message_id] = self._link_sets.setdefault(names, names)
        shape = (id(email), len(html), len(text))
        return _Printed(recipient.message_id, person.to, values["unsubscribe_url"], [subject, *html, *text], shape)

    def _of_locale(self, locale: str | None) -> EmailTemplates:
        if locale not in self._templates:
            found = rendering.email_templates(self._stem, locale, pinned=self._pinned)
            # Languages without templates of their own share those of the others.
            self._templates[locale] = next((known for known in self._templates.values() if known == found), found)
        return self._templates[locale]


def _url_maker() -> Callable[[str, str], str]:
    """`links.url`, with the key and our address read once for many messages."""
    key, base = links._key(settings.secret_key(), settings.home()), links.base_url()

    # A message asks for the same link in its HTML and in its text.
    @lru_cache(maxsize=64)
    def url(message_id: str, name: str) -> str:
        number = int.from_bytes(hmac.digest(key, f"link {message_id} {name}".encode(), "sha256"), "big")
        if name == links.UNSUBSCRIBE:
            return f"{base}/u/{_base62(number, links._TOKEN_LENGTH)}"
        return f"{base}/l/{_base62(number, links._CODE_LENGTH)}"

    return url


_PAIRS = [low + high for high in links._ALPHABET for low in links._ALPHABET]


def _base62(number: int, length: int) -> str:
    """The lowest digits first, two at a time; `length` is even."""
    base = len(_PAIRS)
    number %= base ** (length // 2)
    pairs = []
    # Long numbers are slow to divide: two pairs with each division.
    for _ in range((length + 3) // 4):
        number, two = divmod(number, base * base)
        pairs += [_PAIRS[two % base], _PAIRS[two // base]]
    return "".join(pairs)[:length]


def _by_shape(printed: list[_Printed]) -> Iterable[list[_Printed]]:
    groups: dict[tuple[int, int, int], list[_Printed]] = {}
    for person in printed:
        groups.setdefault(person.shape, []).append(person)
    return groups.values()


def _without_duplicates(group: list[_Printed], per_request: int) -> Iterator[list[_Printed]]:
    """Chunks in which no address occurs twice: the second message to one goes with those who have a second one, too."""
    rounds: list[list[_Printed]] = []
    seen: dict[str, int] = {}
    for person in group:
        address = normalised_address(person.to)
        turn = seen.get(address, 0)
        seen[address] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(person)
    for one_each in rounds:
        for start in range(0, len(one_each), per_request):
            yield one_each[start : start + per_request]


def normalised_address(address: str) -> str:
    """The one spelling of addresses that reach the same mailbox, so that they can be told from others."""
    if address.isascii():
        return address.strip().lower()
    local, _, domain = unicodedata.normalize("NFKC", address).strip().lower().rpartition("@")
    return f"{local}@{_ascii_domain(domain)}"


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(f"a@{domain}", check_deliverability=False, test_environment=True).ascii_domain.lower()
    except EmailNotValidError:
        return domain


def _batches(people: list[_Printed]) -> Iterator[EmailBatch]:
    """The requests of people of one shape: one, unless long pieces divide them or somebody's own words are too long."""
    columns = list(zip(*(person.pieces for person in people), strict=True))
    personal = [index for index, column in enumerate(columns) if column.count(column[0]) < len(column)]
    dividing = _dividing_column(columns, personal, len(people))
    if dividing is None:
        yield from _factored(people, columns, personal)
        return
    parts: dict[str, list[_Printed]] = {}
    for person in people:
        parts.setdefault(person.pieces[dividing], []).append(person)
    for part in parts.values():
        yield from _batches(part)


def _dividing_column(columns: list[tuple[str, ...]], personal: list[int], count: int) -> int | None:
    """The longest piece that many share, when people's own words are long: then they took another branch."""
    sizes = {index: sum(map(len, columns[index])) for index in personal}
    if sum(sizes.values()) <= _LONG_CHARACTERS * count:
        return None
    shared = [index for index in personal if len(set(columns[index])) * _SHARED_BY <= count]
    return max(shared, key=sizes.__getitem__, default=None)


def _factored(people: list[_Printed], columns: list[tuple[str, ...]], personal: list[int]) -> Iterator[EmailBatch]:
    """One request with everybody whose own words are short enough, and one for each of the others."""
    skeleton, slots = _skeleton(columns, personal, people[0].shape)
    rows: list[tuple[str, ...]] = list(zip(*slots, strict=True)) if slots else [()] * len(people)
    tags = _tags(skeleton, rows, people)
    fitting, too_long = [], []
    for person, row in zip(people, rows, strict=True):
        own = dict(zip(tags, row, strict=True))
        if _fits(own):
            fitting.append(BatchRecipient(person.message_id, person.to, own, person.unsubscribe_url))
        else:
            too_long.append(person)
    if fitting:
        yield EmailBatch(*(_joined(part, tags) for part in skeleton), recipients=fitting)
    yield from map(_alone, too_long)


def _alone(person: _Printed) -> EmailBatch:
    subject, html, text = (_joined(part, []) for part in _parts(person.pieces, person.shape))
    return EmailBatch(subject, html, text, [BatchRecipient(person.message_id, person.to, {}, person.unsubscribe_url)])


def _skeleton(
    columns: list[tuple[str, ...]], personal: list[int], shape: tuple[int, int, int]
) -> tuple[list[_Part], list[tuple[str, ...]]]:
    """Subject, HTML and text with numbers where personal words go, and by number what everybody has there."""
    places: list[_Part] = [[column[0]] for column in columns]
    numbers: dict[tuple[str, ...], int] = {}
    for index in personal:
        start, middle, end = _trimmed(columns[index])
        places[index] = [start, numbers.setdefault(middle, len(numbers)), end]
    return [list(itertools.chain(*part)) for part in _parts(places, shape)], list(numbers)


def _trimmed(column: Sequence[str]) -> tuple[str, tuple[str, ...], str]:
    """What all values start with, what is left of each, and what all of them end with."""
    # Marked-up text is text again: it was escaped already, and is slow to cut.
    values = list(map(str.__str__, column))
    start = _common_start(values)
    values = [value[len(start) :] for value in values]
    end = _common_start([value[::-1] for value in values])[::-1]
    return start, tuple(value[: len(value) - len(end)] for value in values), end


def _common_start(values: list[str]) -> str:
    first, last = min(values), max(values)
    for index, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:index]
    return first


def _parts(pieces: list[_T], shape: tuple[int, int, int]) -> tuple[list[_T], list[_T], list[_T]]:
    text = 1 + shape[1]
    return pieces[:1], pieces[1:text], pieces[text:]


def _joined(part: Sequence[str | int], tags: list[str]) -> str:
    return "".join([tags[piece] if isinstance(piece, int) else piece for piece in part])


def _fits(own: dict[str, str]) -> bool:
    characters = sum(map(len, own)) + sum(map(len, own.values()))
    if (characters + len(own)) * _MOST_JSON_BYTES <= MAX_SUBSTITUTION_BYTES:
        return True
    return len(json.dumps(own)) <= MAX_SUBSTITUTION_BYTES


def _tags(skeleton: list[_Part], rows: list[tuple[str, ...]], people: list[_Printed]) -> list[str]:
    """A tag for each slot, with a beginning that nobody's message contains, wherever its words come from.

    A tag ends with a letter that it does not start with, so that two of them never overlap and none is part of another.
    With that and the beginning, no replacing in whatever order makes a tag appear that was not there.
    """
    if not rows[0]:
        return []
    start = _TAG_START + _salt(_everything(skeleton, rows, people))
    return [f"{start}{number}{_TAG_END}" for number in range(len(rows[0]))]


def _everything(skeleton: list[_Part], rows: list[tuple[str, ...]], people: list[_Printed]) -> str:
    """All that the provider may look for tags in, with long shared pieces shortened once they stand there in full."""
    constants = [piece for part in skeleton for piece in part if isinstance(piece, str)]
    frame = "\n".join("".join(map(_framed, part)) for part in skeleton)
    return "\n".join(
        [
            *constants,
            settings.sender_name(),
            settings.sender_email(),
            *(frame.format(*row) for row in rows),
            *(f"{person.message_id}\n{person.to}\n{person.unsubscribe_url}" for person in people),
        ]
    )


def _framed(piece: str | int) -> str:
    if isinstance(piece, int):
        return f"{{{piece}}}"
    short = piece if len(piece) <= 2 * _EDGE else f"{piece[:_EDGE]}\n{piece[-_EDGE:]}"
    return short.replace("{", "{{").replace("}", "}}")


def _salt(words: str) -> str:
    """The first letters after which the beginning of a tag is found nowhere."""
    if _TAG_START not in words:
        return ""
    found = set(_SALTED.findall(words))
    taken = {run[:length] for run in found for length in range(len(run) + 1)}
    return next(salt for salt in _salts() if salt not in taken)


def _salts() -> Iterator[str]:
    for length in range(_LONGEST_SALT + 1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))
