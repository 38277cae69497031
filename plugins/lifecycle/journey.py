"""What a journey is: steps, each with a segment (who) and a message (words), a goal and an end.

Declarations are plain values, checked when they are made, so that a mistake shows as one line in the Airflow UI and
leaves every other Dag alone. Standard library only.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from lifecycle import contract, settings
from lifecycle.errors import LifecycleError

Channel = Literal["email", "sms"]
Entry = Literal["none", "at_their_age"]
Kind = Literal["marketing", "transactional"]
VoucherKind = Literal["percent", "amount", "free_shipping", "gift"]
WhenLate = Literal["skip", "send"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What Twilio takes: so many pictures, and so long that a message may wait to be delivered.
_MOST_MEDIA = 10
_MOST_PARTS = 10
_LONGEST_VALID = timedelta(hours=10)
_DAY = timedelta(days=1)
_DECLARING = {Path(__file__), Path(__file__).with_name("programme.py")}
_FRESH_WITHIN = timedelta(hours=48)
_LONGEST_LATE = timedelta(days=366)
_CURRENCY = re.compile(r"[A-Z]{3}")
_EVERY_MINUTES = re.compile(r"\*/(\d+) \* \* \* \*")
_MOST_CENTS = 100_000_000
_MOST_DAYS = 3660


@dataclass(frozen=True)
class Message:
    """A template of a channel: the stem of its files in `include/templates/<journey>/`."""

    template: str
    channel: Channel = field(init=False)
    suffixes: tuple[str, ...] = field(init=False, repr=False)


@dataclass(frozen=True)
class Sms(Message):
    """An SMS: `<template>.sms.j2`, with locale variants such as `<template>.ja.sms.j2`.

    With `media`, one https address of a picture or a list of up to ten, it is an MMS; their hosts are those that
    `links.yaml` leads to. What could not be delivered within `valid_for` (up to ten hours, in whole seconds) is
    dropped by the provider, so that no stray copy of a morning's message arrives at night. Nobody gets an SMS of more
    than `max_parts` parts: what a long name makes longer is skipped with `template_error`.
    """

    media: str | Sequence[str] = ()
    valid_for: timedelta = timedelta(hours=4)
    max_parts: int = 6
    channel: Channel = field(default="sms", init=False)
    suffixes: tuple[str, ...] = field(default=(".sms.j2",), init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse addresses no phone can fetch, and times no provider keeps to."""
        urls = self.media_urls
        if len(urls) > _MOST_MEDIA:
            raise _declared_wrong(f"Sms with {len(urls)} media", f"Give up to {_MOST_MEDIA}")
        for url in urls:
            if not _is_public_https(url):
                raise _declared_wrong(f"Sms media={url!r}", "Write it as https://host/picture.jpg")
        if not isinstance(self.valid_for, timedelta) or not timedelta(seconds=1) <= self.valid_for <= _LONGEST_VALID:
            hint = "Give a duration of up to ten hours, as in pendulum.duration(hours=4)"
            raise _declared_wrong(f"Sms valid_for={self.valid_for!r}", hint)
        if not is_whole(self.max_parts, 1, _MOST_PARTS):
            raise _declared_wrong(f"Sms max_parts={self.max_parts!r}", f"Give a whole number from 1 to {_MOST_PARTS}")

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The addresses of the pictures, in their order; without any it is a plain SMS."""
        return (self.media,) if isinstance(self.media, str) else tuple(self.media)


@dataclass(frozen=True)
class Email(Message):
    """An email: `<template>.email.html.j2` with its subject in front matter, and `<template>.email.txt.j2`."""

    channel: Channel = field(default="email", init=False)
    suffixes: tuple[str, ...] = field(default=(".email.html.j2", ".email.txt.j2"), init=False, repr=False)


@dataclass(frozen=True)
class Voucher:
    """A single-use code and what it gives: one of `percent_off`, `amount_cents`, `free_shipping` and `gift`.

    `amount_cents` are hundredths of the `currency`; `gift` names the thing. `valid_days` counts from the run day and holds
    to the last second of its last day; `valid_for` counts from the moment the message is sent, to the second (L-03). With
    `pool` the codes are those imported under that name, not generated ones.
    """

    percent_off: int | None = None
    valid_days: int | None = None
    amount_cents: int | None = None
    currency: str | None = None
    free_shipping: bool = False
    gift: str | None = None
    valid_for: timedelta | None = None
    pool: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that no shop means."""
        self._check_gives()
        self._check_validity()
        if self.pool is not None and not is_name(self.pool):
            hint = "Use small letters, digits and _, starting with a letter"
            raise _declared_wrong(f"Voucher pool={self.pool!r}", hint)

    @property
    def kind(self) -> VoucherKind:
        """Which of the four things it gives."""
        if self.percent_off is not None:
            return "percent"
        if self.amount_cents is not None:
            return "amount"
        return "gift" if self.gift is not None else "free_shipping"

    @property
    def printable(self) -> frozenset[str]:
        """The fields that a template may print of it."""
        own = {"percent": {"percent_off"}, "amount": {"amount"}, "gift": {"gift"}, "free_shipping": set[str]()}
        return frozenset({"code", "starts_at", "expires_at"} | own[self.kind])

    def _check_gives(self) -> None:
        if not isinstance(self.free_shipping, bool):
            raise _declared_wrong(f"Voucher free_shipping={self.free_shipping!r}", "Give True, or leave it out")
        gives = [self.percent_off is not None, self.amount_cents is not None, self.free_shipping, self.gift is not None]
        if sum(gives) != 1:
            what = "that gives several things" if any(gives) else "that gives nothing"
            hint = "Give one of percent_off, amount_cents, free_shipping and gift"
            raise _declared_wrong(f"Voucher {what}", hint)
        if self.percent_off is not None and not is_whole(self.percent_off, 1, 100):
            raise _declared_wrong(f"Voucher percent_off={self.percent_off!r}", "Give a whole number from 1 to 100")
        if self.amount_cents is not None and not is_whole(self.amount_cents, 1, _MOST_CENTS):
            hint = f"Give a whole number of hundredths from 1 to {_MOST_CENTS}"
            raise _declared_wrong(f"Voucher amount_cents={self.amount_cents!r}", hint)
        if self.gift is not None and not (isinstance(self.gift, str) and self.gift.strip() and self.gift.isprintable()):
            raise _declared_wrong(f"Voucher gift={self.gift!r}", "Name the thing, as in gift='a tote bag'")
        self._check_currency()

    def _check_currency(self) -> None:
        if self.amount_cents is None and self.currency is not None:
            raise _declared_wrong(f"Voucher currency={self.currency!r}", "It belongs to amount_cents; leave it out")
        if self.amount_cents is not None and not (
            isinstance(self.currency, str) and _CURRENCY.fullmatch(self.currency)
        ):
            raise _declared_wrong(f"Voucher currency={self.currency!r}", "Give three capitals, as in currency='USD'")

    def _check_validity(self) -> None:
        if (self.valid_days is None) == (self.valid_for is None):
            given = "valid_days and valid_for" if self.valid_days is not None else "no end"
            raise _declared_wrong(
                f"Voucher with {given}", "Give one of valid_days=14 and valid_for=timedelta(hours=24)"
            )
        if self.valid_days is not None and not is_whole(self.valid_days, 1, _MOST_DAYS):
            hint = f"Give a number of days from 1 to {_MOST_DAYS}"
            raise _declared_wrong(f"Voucher valid_days={self.valid_days!r}", hint)
        lasts = self.valid_for
        if lasts is not None and (
            not isinstance(lasts, timedelta)
            or lasts.microseconds
            or not timedelta(minutes=1) <= lasts <= timedelta(days=_MOST_DAYS)
        ):
            hint = f"Give whole seconds, from a minute to {_MOST_DAYS} days, as in timedelta(hours=24)"
            raise _declared_wrong(f"Voucher valid_for={lasts!r}", hint)


@dataclass(frozen=True)
class Goal:
    """What counts as success: a SQL file that lists `customer_id, anchor, converted_at` of open enrollments.

    Reaching it ends the journey for the person (K-07). It is credited to the last message of the `within_days` before.
    """

    sql: str
    within_days: int = 14


@dataclass(frozen=True)
class Suppress:
    """How a journey ends for those who never reacted: the channel's marketing is suppressed for them (H-01, A-11)."""

    sql: str
    channel: Channel
    reason: str


@dataclass(frozen=True)
class Step:
    """One message to one segment.

    `max_lateness`, in whole days, says how long after its day a message is still right, whatever held it up: a missed day
    that is repaired late, quiet hours, a provider that asks to wait, a pause. After it the message is skipped as `stale`,
    unless `when_late="send"`: then a repaired day sends however late it is.

    `recommendations` and `reviews` name files in `include/sql/recommendations/`, without `.sql`. They are asked in their
    order until a person has enough; the template prints what they found as the lists of the same names (C-03, C-04).
    """

    name: str
    segment: str
    message: Message
    voucher: Voucher | None = None
    max_lateness: timedelta = timedelta(days=3)
    when_late: WhenLate = "skip"
    recommendations: Sequence[str] = ()
    reviews: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse values that no shop means."""
        late = self.max_lateness
        # In seconds, because a pendulum duration, which is a timedelta, cannot be divided by another one.
        counts_days = isinstance(late, timedelta) and not late.total_seconds() % _DAY.total_seconds()
        if not counts_days or not _DAY <= late <= _LONGEST_LATE:
            # Less than the day between two runs would skip everybody whenever a run is tried again after midnight.
            hint = "Give 1 to 366 whole days, as in timedelta(days=3)"
            raise _declared_wrong(f"Step max_lateness={self.max_lateness!r}", hint)
        if self.when_late not in ("skip", "send"):
            raise _declared_wrong(f"Step when_late={self.when_late!r}", 'Give "skip" or "send"')
        for name, files in (("recommendations", self.recommendations), ("reviews", self.reviews)):
            if not isinstance(files, (tuple, list)) or not all(isinstance(file, str) for file in files):
                hint = 'Name files in include/sql/recommendations/, as in ("bought_together",)'
                raise _declared_wrong(f"Step {name}={files!r}", hint)

    @property
    def lists(self) -> dict[str, tuple[Path, ...]]:
        """The lists that its template prints, each with the files that fill it, in their order."""
        folder = settings.sql_folder() / "recommendations"
        declared = {"recommendations": self.recommendations, "reviews": self.reviews}
        return {name: tuple(folder / f"{file}.sql" for file in files) for name, files in declared.items() if files}


@dataclass(frozen=True)
class Journey:
    """A sequence of steps that a person goes through once per anchor.

    `entry` says what happens to people who are past the first step when the journey is switched on (A-4): "none"
    leaves them out and records why, "at_their_age" lets them in at the step they have reached.

    A person gets one marketing message a day: of several journeys the one with the higher `priority` wins, and the
    others are recorded as `lost_to(<journey>)`. `kind="transactional"` is for messages about an order: they need no
    consent and keep to no cap (H-08). In a Dag with `schedule=every(minutes=5, ...)` it looks every five minutes, and
    sends whatever its segments show that it was not told of before (J-01).

    `sources_within` says how old the newest fact of a source may be at the run's midnight before the journey is held: of
    every source that moves daily, or of single ones, such as `{"orders": timedelta(hours=30)}`, whether they do or not.

    Raises:
        LifecycleError: a name, file or number is wrong; the line names the Dag file and how to mend it.
    """

    name: str
    steps: list[Step]
    goal: Goal | None = None
    ends_with: Suppress | None = None
    holdout_percent: int = 0
    entry: Entry = "none"
    kind: Kind = "marketing"
    priority: int = 50
    sources_within: timedelta | Mapping[str, timedelta] = _FRESH_WITHIN
    file: Path = field(default=Path(), init=False, compare=False, repr=False)
    line: int = field(default=0, init=False, compare=False, repr=False)
    # The time zone whose midnights start the run days, and the days themselves; `add_tasks` takes them from the Dag.
    zone: str = field(default="", init=False, compare=False, repr=False)
    cron: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check everything that can be known without a database."""
        file, line = place_of_declaration()
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "line", line)
        self._check_names()
        self._check_numbers()
        self._check_sources()
        for path in self.sql_files():
            _require_file(path, self)
        for step in self.steps:
            for path in self.template_files(step):
                _require_file(path, self)

    def schedule(self, cron: str, zone: str) -> None:
        """Remember the schedule of the Dag around the journey; `cron` is empty when it has no cron line.

        Raises:
            LifecycleError: the journey looks every few minutes, and has a part that only days have.
        """
        object.__setattr__(self, "zone", zone)
        object.__setattr__(self, "cron", cron)
        self._check_tick()

    @property
    def tick(self) -> timedelta | None:
        """How often the journey looks when it does so all day long, every few minutes; None for one of whole days."""
        found = _EVERY_MINUTES.fullmatch(self.cron)
        return timedelta(minutes=int(found[1])) if found else None

    def step(self, name: str) -> Step:
        """The step of that name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise unknown_name("step", name, [step.name for step in self.steps], file=self.file, line=self.line)

    @property
    def named_sources(self) -> tuple[str, ...]:
        """The sources whose age the journey limits by name."""
        return () if isinstance(self.sources_within, timedelta) else tuple(self.sources_within)

    def source_limit(self, source: str) -> timedelta:
        """How old the newest fact of a source may be at the midnight of a run."""
        if isinstance(self.sources_within, timedelta):
            return self.sources_within
        return self.sources_within.get(source, _FRESH_WITHIN)

    def sql_path(self, file_name: str) -> Path:
        """Where a SQL file of this journey lives."""
        return _inside(settings.sql_folder() / "journeys" / self.name, file_name, self)

    def sql_files(self) -> list[Path]:
        """Every SQL file the journey names: segments, goal, end, and what its steps recommend and quote."""
        names = [step.segment for step in self.steps]
        names += [self.goal.sql] if self.goal else []
        names += [self.ends_with.sql] if self.ends_with else []
        shared = [path for step in self.steps for paths in step.lists.values() for path in paths]
        return [*(self.sql_path(name) for name in names), *dict.fromkeys(shared)]

    def template_files(self, step: Step) -> list[Path]:
        """The template files a step cannot do without; locale variants come on top."""
        folder = settings.templates_folder() / self.name
        return [_inside(folder, step.message.template + suffix, self) for suffix in step.message.suffixes]

    def _check_names(self) -> None:
        _require_name("journey", self.name, self)
        if not self.steps:
            raise self._wrong("has no steps", "Give at least one Step(...)")
        for step in self.steps:
            _require_name("step", step.name, self)
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise self._wrong(f"has two steps named {name!r}", "Give every step its own name")
        require_file_named(self.name, "journey", self.file, self.line)

    def _check_numbers(self) -> None:
        if not is_whole(self.holdout_percent, 0, 50):
            raise self._wrong(f"has holdout_percent={self.holdout_percent!r}", "Give a whole number from 0 to 50")
        if self.kind not in ("marketing", "transactional"):
            raise self._wrong(f"has kind={self.kind!r}", 'Give "marketing" or "transactional"')
        if not 0 <= self.priority <= 100:
            raise self._wrong(f"has priority={self.priority}", "Give a whole number from 0 to 100")
        if self.entry not in ("none", "at_their_age"):
            raise self._wrong(f"has entry={self.entry!r}", 'Give "none" or "at_their_age"')
        if self.goal and not is_whole(self.goal.within_days, 1, 365):
            raise self._wrong(
                f"has a goal within_days={self.goal.within_days!r}", "Give a number of days from 1 to 365"
            )
        self._check_end()

    def _check_tick(self) -> None:
        """Refuse what a look every few minutes has no place for: caps, arbitration and goals are matters of a day."""
        if not self.tick:
            return
        looks = f"looks every {self.tick.seconds // 60} minutes"
        if self.kind != "transactional":
            raise self._wrong(f"{looks} and is {self.kind}", 'Give kind="transactional", or schedule=daily(...)')
        if self.goal or self.ends_with:
            raise self._wrong(f"{looks} and has a goal or an end", "Leave them out, or give schedule=daily(...)")

    def _check_sources(self) -> None:
        within = self.sources_within
        if not isinstance(within, (timedelta, Mapping)):
            raise self._wrong(f"has sources_within={within!r}", "Give a duration, as in timedelta(hours=48)")
        known = [table.name for table in contract.TABLES if table.known_from]
        for source in self.named_sources:
            if source not in known:
                raise unknown_name("source", source, known, file=self.file, line=self.line)
        for limit in [within] if isinstance(within, timedelta) else within.values():
            if not isinstance(limit, timedelta) or limit <= timedelta(0):
                raise self._wrong(f"has sources_within={limit!r}", "Give a duration, as in timedelta(hours=48)")

    def _check_end(self) -> None:
        end = self.ends_with
        if end and end.channel not in ("email", "sms"):
            raise self._wrong(f"ends with the channel {end.channel!r}", 'Give "email" or "sms"')
        # A refusal is kept under this reason and is never lifted by a click; the end of a journey is.
        if end and (not is_name(end.reason) or end.reason == "unsubscribed"):
            raise self._wrong(f"ends with the reason {end.reason!r}", 'Give a short word of your own, such as "sunset"')

    def _wrong(self, what: str, hint: str) -> LifecycleError:
        return LifecycleError(f"Journey {self.name!r} {what}", hint=hint, file=self.file, line=self.line)


def require_file_named(name: str, noun: str, file: Path, line: int) -> None:
    """Refuse a declaration in a Dag file of another name (architecture §2).

    Raises:
        LifecycleError: what is declared and its file do not share a name.
    """
    if file.parent == settings.dags_folder() and file.stem != name:
        what = f"{noun.capitalize()} {name!r} lives in {file.name}"
        hint = f"Name the file {name}.py, or the {noun} {file.stem!r}"
        raise LifecycleError(what, hint=hint, file=file, line=line)


def unknown_name(
    noun: str, name: str, known: list[str], *, file: Path | None = None, line: int | None = None
) -> LifecycleError:
    """The error for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}" if near else f"Known: {', '.join(sorted(known)) or 'none'}"
    return LifecycleError(f"There is no {noun} {name!r}", hint=hint, file=file, line=line)


def is_whole(value: object, least: int, most: int) -> bool:
    """Whether a value is a whole number in a range; True and 2.5 are none, whatever Python says."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_name(value: object) -> bool:
    """Whether a value is a short word that may be a file, a Dag or a reason: small letters, digits and _."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_public_https(url: object) -> bool:
    """Whether an address is one that a phone anywhere may fetch: https, a host, no password, nothing hidden in it."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\'):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port is None
    except ValueError:
        return False


def check_name(noun: str, name: str, *, file: Path | None = None, line: int | None = None) -> None:
    """Refuse a name that cannot be a file, a folder, a Dag and a word of a key at once.

    Raises:
        LifecycleError: it has other letters than a to z, digits and _, or is too long.
    """
    if not is_name(name):
        hint = "Use small letters, digits and _, starting with a letter"
        raise LifecycleError(f"The {noun} name {name!r} is not usable", hint=hint, file=file, line=line)


def _require_name(noun: str, name: str, journey: Journey) -> None:
    check_name(noun, name, file=journey.file, line=journey.line)


def _inside(folder: Path, file_name: str, journey: Journey) -> Path:
    """The path of a file in a folder, refusing every way out of it (`..`, absolute paths, links)."""
    path = (folder / file_name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise LifecycleError(
            f"{file_name!r} leaves the folder of the journey",
            hint=f"Name a file in {settings_relative(folder)}",
            file=journey.file,
            line=journey.line,
        )
    return folder / file_name


def _require_file(path: Path, journey: Journey) -> None:
    if path.is_file():
        return
    alike = "*" + "".join(path.suffixes)
    neighbours = [entry.name for entry in path.parent.glob(alike)] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, neighbours, n=1)
    raise LifecycleError(
        f"Journey {journey.name!r} names {settings_relative(path)}, which does not exist",
        hint=f"Did you mean {near[0]}" if near else "Create it, or correct the name in the declaration",
        file=journey.file,
        line=journey.line,
    )


def settings_relative(path: Path) -> str:
    """A path as it reads from the top of the project."""
    root = settings.project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _declared_wrong(what: str, hint: str) -> LifecycleError:
    file, line = place_of_declaration()
    return LifecycleError(f"{what} makes no sense", hint=hint, file=file, line=line)


def place_of_declaration() -> tuple[Path, int]:
    """File and line of the Dag file that is being read: the nearest caller outside the modules that declare things."""
    frame = sys._getframe(1)
    while frame.f_back and (frame.f_code.co_filename == "<string>" or Path(frame.f_code.co_filename) in _DECLARING):
        frame = frame.f_back
    return Path(frame.f_code.co_filename), frame.f_lineno
