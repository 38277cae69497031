"""Previews: how a message of a step reads, for made-up people or a real one, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import database, delivery, rendering, runs, segments, settings, vouchers
from lifecycle.errors import LifecycleError
from lifecycle.journey import Sms
from lifecycle.prices import price

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lifecycle.journey import Journey, Step
    from lifecycle.journeys import Declared

# Made-up people that show what usually goes wrong: nothing special, no name at all, a long name, another script.
SAMPLES = {
    "a typical customer": rendering.Customer(
        "1001", "Aiko", "Tanaka", "aiko@example.com", "+819012345678", locale="en"
    ),
    "no first name": rendering.Customer("1002", None, None, "someone@example.com", "+447700900123", locale="en"),
    "a long name": rendering.Customer("1003", "Maximiliana-Theodora", "Featherstonehaugh", locale="en"),
    "Japanese": rendering.Customer("1004", "愛子", "田中", "aiko@example.jp", "+819012345678", locale="ja"),
}
# How many made-up items a list has.
_ITEMS = 2
_MESSAGE_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Preview:
    """One rendered message and, for an SMS, its parts and price in cents; with media it is one MMS."""

    title: str
    channel: str
    message: rendering.RenderedMessage
    parts: int = 0
    cents: int = 0
    media_urls: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """What it is billed as."""
        if self.media_urls:
            return f"MMS, {self.cents} cents"
        return f"{self.parts} part{'s' if self.parts != 1 else ''}, {self.cents} cents"

    def text(self) -> str:
        """The preview as a terminal shows it."""
        if self.channel == "email":
            return f"--- {self.title}\nSubject: {self.message.subject}\n\n{self.message.text}\n"
        shown = [f"--- {self.title}: {self.size}", self.message.text, *(f"[{url}]" for url in self.media_urls)]
        return "\n".join(shown) + "\n"


def previews(declared: Declared, step: Step, day: date, customer_id: str | None) -> list[Preview]:
    """The message for one customer, or for the made-up ones.

    Raises:
        LifecycleError: a template or segment breaks its contract, or the customer is not known on that day.
    """
    instant = runs.instant_of(declared.journey, day, declared.zone)
    with database.transaction() as connection:
        database.require_schema(connection)
        database.set_as_of(connection, instant, declared.zone)
        printable = segments.check(connection, declared.journey, step)
        rendering.check_templates(declared.journey, step, *printable)
        if customer_id is not None:
            found = delivery.customers(connection, [customer_id])
            if not found:
                raise LifecycleError(f"Customer {customer_id!r} is not known on {day}", hint="Check the id, or --as-of")
            people = {f"customer {customer_id}": found[customer_id]}
        else:
            people = SAMPLES
    extra: dict[str, Any] = _made_up(printable.columns - {"customer_id", "anchor"})
    extra |= {name: [_made_up(columns)] * _ITEMS for name, columns in printable.lists.items()}
    return [_preview(declared.journey, step, title, person, instant, extra) for title, person in people.items()]


class _Placeholder(str):
    """A made-up value that reads as its column's name, also where the template goes through a list."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        yield str(self)


def _made_up(columns: set[str]) -> dict[str, str]:
    return {name: _Placeholder(f"<{name}>") for name in columns}


def _preview(
    journey: Journey, step: Step, title: str, customer: rendering.Customer, instant: datetime, extra: dict[str, Any]
) -> Preview:
    voucher = vouchers.sample(step.voucher, instant) if step.voucher else None
    recipient = rendering.Recipient(
        _MESSAGE_ID, customer, instant, extra, voucher, vouchers.code_key(vouchers.SAMPLE_CODE)
    )
    try:
        message = rendering.render(journey, step, recipient)
    except rendering.UnrenderableError as error:
        raise LifecycleError(f"For {title}: {error}", hint="Mend the template") from None
    if not isinstance(step.message, Sms):
        return Preview(title, "email", message)
    return Preview(title, "sms", message, *price(step, message.text), step.message.media_urls)


def write_page(shown: list[Preview]) -> Path:
    """A web page with the previews, under LIFECYCLE_HOME, for a look in the browser."""
    page = settings.home() / "preview.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(rendering.render_page("pages/preview.page.html", {"previews": shown}), encoding="utf-8")
    return page
