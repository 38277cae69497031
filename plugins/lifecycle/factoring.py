"""Factoring: one email to many people becomes few requests, each with the shared words once (C-01).

Words that are equal for everybody of a request travel once; each person's own become the provider's substitutions, so that
replacing the tags gives back the message that `rendering.render` makes, byte for byte.
"""

from __future__ import annotations

import itertools
import json
import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import links, rendering, settings, skeletons
from lifecycle.channels import BatchRecipient, EmailBatch
from lifecycle.errors import LifecycleError
from lifecycle.rendering import EmailTemplates, Recipient, SharedValues, UnrenderableError
from lifecycle.skeletons import Frame, Person, Skeleton

if TYPE_CHECKING:
    from lifecycle.journey import Journey, Step

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
# The end of some words, or of a line, as far as a tag goes. Words that hold more of one are found as they are.
_ENDS_LIKE_A_TAG = re.compile(rf"-(?:l(?:c[a-z]{{0,{_LONGEST_SALT}}})?)?$", re.MULTILINE)
_SALTED = re.compile(rf"{_TAG_START}([a-z]{{0,{_LONGEST_SALT}}})")


class Addressed(NamedTuple):
    """One message to be factored: what it is rendered from, and where it goes."""

    recipient: Recipient
    to: str


@dataclass(frozen=True)
class Factored:
    """The requests of a step's message.

    `unrenderable` says by message id why somebody gets none; `used` are the links of all others.
    """

    batches: list[EmailBatch]
    unrenderable: dict[str, str]
    used: list[links.UsedLink]


class _Shape(NamedTuple):
    """What those read who read the same constant words: numbers stand where the printed words of a person go."""

    subject: list[str | int]
    html: list[str | int]
    text: list[str | int]


class _Printed(NamedTuple):
    """A person's own words, which go where the numbers of the shape are."""

    message_id: str
    to: str
    unsubscribe_url: str
    words: list[str]
    shape: _Shape


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
        return Factored([], {person.recipient.message_id: str(error) for person in people}, [])
    printed = [found for person in people if (found := printer.printed(person))]
    batches = [
        batch
        for group in _by_shape(printed)
        for chunk in _without_duplicates(group, per_request)
        for batch in _batches(chunk)
    ]
    return Factored(batches, printer.unrenderable, printer.used)


def reconstruct(batch: EmailBatch, recipient: BatchRecipient) -> tuple[str, str, str]:
    """What a person reads: subject, HTML and text with every tag replaced, as the provider does it."""
    if not recipient.substitutions:
        return batch.subject, batch.html, batch.text
    tags = re.compile("|".join(map(re.escape, recipient.substitutions)))

    def filled(words: str) -> str:
        return tags.sub(lambda found: recipient.substitutions[found[0]], words)

    return filled(batch.subject), filled(batch.html), filled(batch.text)


class _Printer:
    """Prints one person's message after the other, and keeps what went wrong and which links were used."""

    def __init__(self, journey: Journey, step: Step) -> None:
        self._pinned = rendering.pinned_environment()
        self._stem = f"{journey.name}/{step.message.template}"
        self._shared = rendering.shared_values(journey.name)
        self._make_code = links.code_maker()
        self._way_out = links.prefix(links.UNSUBSCRIBE, self._shared.base_url)
        self._is_marketing = journey.kind == "marketing"
        self._emails: dict[str | None, _Email] = {}
        self.unrenderable: dict[str, str] = {}
        self.used: list[links.UsedLink] = []

    def printed(self, addressed: Addressed) -> _Printed | None:
        message_id = addressed.recipient.message_id
        person = Person(addressed.recipient, self._shared, self._make_code)
        try:
            email = self._email(addressed.recipient.customer.locale)
            shape, words = email.printed(person)
        except (UnrenderableError, LifecycleError) as error:
            self.unrenderable[message_id] = str(error)
            return None
        journey_name = self._shared.journey_name
        self.used += [links.UsedLink(message_id, journey_name, name, code) for name, code in person.codes.items()]
        # Nobody refuses what is about their order; with an offer in it, they can refuse that.
        is_refusable = self._is_marketing or (addressed.recipient.may_offer and email.has_way_out)
        way_out = self._way_out + person.codes[links.UNSUBSCRIBE] if is_refusable else ""
        return _Printed(message_id, addressed.to, way_out, words, shape)

    def _email(self, locale: str | None) -> _Email:
        if locale not in self._emails:
            templates = rendering.email_templates(self._stem, locale, pinned=self._pinned)
            # Languages without templates of their own share those of the others.
            shared = (known for known in self._emails.values() if known.templates == templates)
            self._emails[locale] = next(shared, None) or _Email(templates, self._shared)
        return self._emails[locale]


class _Email:
    """The templates of an email, taken apart if they can be."""

    def __init__(self, templates: EmailTemplates, shared: SharedValues) -> None:
        self.templates = templates
        self._skeleton = skeletons.taken_apart(templates, shared)
        self._shapes: dict[Frame | tuple[int, int], _Shape] = {}

    @cached_property
    def has_way_out(self) -> bool:
        """Whether its words lead to the unsubscribe page."""
        return rendering.asks_for(self.templates.page, "unsubscribe_url")

    def printed(self, person: Person) -> tuple[_Shape, list[str]]:
        """A person's shape and words.

        Raises:
            UnrenderableError: a template asks for something this person does not have, or prints too much.
        """
        if self._skeleton:
            # A mistake is reported as a preview does: by what fails first in the whole.
            with suppress(UnrenderableError):
                return self._by_skeleton(self._skeleton, person)
        return self._as_a_whole(person)

    def _by_skeleton(self, skeleton: Skeleton, person: Person) -> tuple[_Shape, list[str]]:
        frame = skeleton.frame(person)
        words = frame.words(person)
        shape = self._shapes.get(frame)
        if shape is None:
            shape = self._shapes[frame] = _Shape(*frame.parts)
        if frame.constant_bytes + sum(map(len, words)) * 4 > rendering.MAX_BYTES:
            for part in (shape.html, shape.text):
                rendering.require_length(self.templates.page, [_read(piece, words) for piece in part])
        return shape, words

    def _as_a_whole(self, person: Person) -> tuple[_Shape, list[str]]:
        values = person.values()
        html = rendering.pieces(self.templates.page, values)
        text = rendering.pieces(self.templates.text, values)
        words = [rendering.one_line(self.templates.subject, values), *html, *text]
        known_by = (len(html), len(text))
        if known_by not in self._shapes:
            numbers: list[str | int] = [*range(len(words))]
            self._shapes[known_by] = _Shape(numbers[:1], numbers[1 : len(html) + 1], numbers[len(html) + 1 :])
        return self._shapes[known_by], words


def _read(piece: str | int, words: list[str]) -> str:
    return words[piece] if isinstance(piece, int) else piece


def _by_shape(printed: list[_Printed]) -> Iterable[list[_Printed]]:
    groups: dict[int, list[_Printed]] = {}
    for person in printed:
        groups.setdefault(id(person.shape), []).append(person)
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
    """The requests of people of one shape: one, unless long words divide them or somebody's own words are too long."""
    columns = list(zip(*(person.words for person in people), strict=True))
    personal = [index for index, column in enumerate(columns) if column.count(column[0]) < len(column)]
    dividing = _dividing_column(columns, personal, len(people))
    if dividing is None:
        yield from _factored(people, columns, personal)
        return
    parts: dict[str, list[_Printed]] = {}
    for person in people:
        parts.setdefault(person.words[dividing], []).append(person)
    for part in parts.values():
        yield from _batches(part)


def _dividing_column(columns: list[tuple[str, ...]], personal: list[int], count: int) -> int | None:
    """The longest words that many share, when people's own words are long: then they took another branch."""
    sizes = {index: sum(map(len, columns[index])) for index in personal}
    if sum(sizes.values()) <= _LONG_CHARACTERS * count:
        return None
    shared = [index for index in personal if len(set(columns[index])) * _SHARED_BY <= count]
    return max(shared, key=sizes.__getitem__, default=None)


def _factored(people: list[_Printed], columns: list[tuple[str, ...]], personal: list[int]) -> Iterator[EmailBatch]:
    """One request with everybody whose own words are short enough, and one for each of the others."""
    # Words that are equal for everybody, in subject, HTML and text, travel once.
    numbers: dict[tuple[str, ...], int] = {}
    slots = {index: numbers.setdefault(columns[index], len(numbers)) for index in personal}
    skeleton = [_filled(part, columns, slots) for part in people[0].shape]
    rows: list[tuple[str, ...]] = list(zip(*numbers, strict=True)) if numbers else [()] * len(people)
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


def _filled(part: list[str | int], columns: list[tuple[str, ...]], slots: dict[int, int]) -> _Part:
    """The constant words of a shape, with what turned out to be equal for everybody, and the numbers of the slots."""
    filled = (piece if isinstance(piece, str) else slots.get(piece, columns[piece][0]) for piece in part)
    return [
        found
        for is_constant, run in itertools.groupby(filled, key=lambda piece: isinstance(piece, str))
        for found in (["".join(map(str, run))] if is_constant else run)
    ]


def _alone(person: _Printed) -> EmailBatch:
    subject, html, text = ("".join([_read(piece, person.words) for piece in part]) for part in person.shape)
    return EmailBatch(subject, html, text, [BatchRecipient(person.message_id, person.to, {}, person.unsubscribe_url)])


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
    """All that the provider may look for tags in."""
    everybody = [
        settings.sender_name(),
        settings.sender_email(),
        *(f"{person.message_id}\n{person.to}\n{person.unsubscribe_url}" for person in people),
    ]
    constants = [piece for part in skeleton for piece in part if isinstance(piece, str)]
    apart = "\n".join([*constants, *map("\n".join, rows), *everybody])
    # Where two words meet they may make a tag that is in neither: only where one ends as a tag begins.
    if not _ENDS_LIKE_A_TAG.search(apart):
        return apart
    frame = "\n".join("".join(map(_framed, part)) for part in skeleton)
    return "\n".join([apart, *(frame.format(*row) for row in rows)])


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
