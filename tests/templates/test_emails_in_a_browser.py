"""Every email of the project as people see it: on a phone and on a desk, by day and in the dark, whatever is known of them.

The people and what the email is about are those of the YAML cases of its segment.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lifecycle import database, delivery, journeys, rendering, runs, segments, vouchers
from lifecycle.journey import Journey, Step
from tests.sql import journey_cases

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1200, "height": 800}
# What WCAG 2.2 asks of words of any size.
LEAST_CONTRAST = 4.5
LOOKS = Path(__file__).with_name("looks.js").read_text(encoding="utf-8")
# What no person may read: an empty value, a place that was never filled, a template's own language.
NEVER = re.compile(r"\bNone\b|\bnull\b|\bundefined\b|\{\{|\{%|\{#")
MOST_PEOPLE = 3


@dataclass(frozen=True)
class Names:
    """A kind of name, in a language."""

    title: str
    locale: str
    first_name: str | None
    last_name: str | None = None


NAMES = (
    Names("a typical name", "en", "Aiko", "Tanaka"),
    Names("no name", "en", None),
    Names("a name without a space in it", "en", "Maximiliana-Theodora" * 3, "Featherstonehaugh"),
    Names("a name that looks like HTML", "en", "<b>Eva</b> & Co"),
    Names("a Japanese name", "ja", "愛子", "田中"),
    Names("no Japanese name", "ja", None),
)


def email_steps() -> list[tuple[Journey, Step]]:
    """Every step of every journey that sends an email."""
    return [
        (declared.journey, step)
        for declared in journeys.load_all()
        for step in declared.journey.steps
        if step.message.channel == "email"
    ]


EMAILS = email_steps()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        assert "CI" not in os.environ, "Chromium is missing. Install it: apt-get install chromium"
        pytest.skip("there is no Chromium to look with")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


each_email = pytest.mark.parametrize(
    ("journey", "step"), EMAILS, ids=[f"{journey.name}/{step.name}" for journey, step in EMAILS]
)


@each_email
@pytest.mark.usefixtures("database_url")
def test_nobody_reads_none_or_a_place_that_was_never_filled(journey: Journey, step: Step) -> None:
    emails = dict(emails_of(journey, step))
    assert len(emails) >= len(NAMES)
    for title, email in emails.items():
        for words in (email.subject, email.text, email.html):
            assert not NEVER.search(words), f"{title}: {words}"


@pytest.mark.needs_processors
@each_email
@pytest.mark.usefixtures("database_url")
def test_an_email_can_be_read_by_everybody_everywhere(
    journey: Journey, step: Step, browser: Browser, tmp_path: Path
) -> None:
    emails = dict(emails_of(journey, step))
    # The lay-out depends on names and the colours do not: every name is looked at on a phone, by turns in the dark.
    titles = list(emails)
    looks = (("phone", PHONE, "light", titles[::2]), ("phone", PHONE, "dark", titles[1::2]))
    looks += (("desk", DESK, "light", titles[:1]), ("desk", DESK, "dark", titles[:1]))
    for where, viewport, light, those in looks:
        page = browser.new_page(viewport=viewport, color_scheme=light)  # type: ignore[arg-type]
        for title in those:
            looked_at(page, emails[title].html, light, f"{title}, {where}, {light}")
        screenshot(page, viewport["width"], tmp_path / f"{where}-{light}.png")
        page.close()


def looked_at(page: Page, html: str, light: str, title: str) -> None:
    """Refuse a page that has to be pushed sideways, is not dark in the dark, or has words that are hard to read."""
    page.set_content(html)
    looks: dict[str, Any] = page.evaluate(LOOKS)
    assert looks["sideways"] == 0, f"{title}: {looks['sideways']} px too wide"
    assert (looks["ground"] < 0.1) == (light == "dark"), f"{title}: the ground has a luminance of {looks['ground']}"
    ratio, words = looks["worst"]
    assert ratio >= LEAST_CONTRAST, f"{title}: {words!r} has a contrast of {ratio:.1f}"


def screenshot(page: Page, width: int, file: Path) -> None:
    """Keep what is to be seen; an empty or broken page has next to no colours."""
    picture = Image.open(io.BytesIO(page.screenshot(path=file, full_page=True)))
    assert picture.width == width
    assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or ()) > 20, file


def emails_of(journey: Journey, step: Step) -> Iterator[tuple[str, rendering.RenderedMessage]]:
    """The step's email to a few people of its cases, with every kind of name."""
    people = 0
    for case in journey_cases.cases_of(Path(journey.name) / step.segment):
        for number, recipient in enumerate(recipients(journey, step, case) if people < MOST_PEOPLE else ()):
            people += 1
            for names in NAMES:
                customer = replace(
                    recipient.customer, first_name=names.first_name, last_name=names.last_name, locale=names.locale
                )
                email = rendering.render(journey, step, replace(recipient, customer=customer))
                yield f"{case['name']} [{number}], {names.title}", email


def recipients(journey: Journey, step: Step, case: dict[str, Any]) -> list[rendering.Recipient]:
    """Everybody the step selects in a case, with what it is to tell them; nothing is kept."""
    zone, instant = case.get("zone", journey_cases.ZONE), journey_cases.instant_of(case)
    with database.transaction() as connection:
        rehearsal = connection.begin_nested()
        journey_cases.prepare(connection, journey.name, case)
        run_id = runs.open_run(connection, runs.RunContext(journey, instant, zone))
        segments.select_audience(connection, run_id, journey, step)
        asked = (
            "select customer_id, variables from lifecycle.audiences where run_id = %s and step = %s "
            "and variables ->> 'skip_reason' is null"
        )
        found = database.driver(connection).execute(asked, (run_id, step.name)).fetchall()
        customers = delivery.customers(connection, [customer_id for customer_id, _ in found])
        rehearsal.rollback()
    voucher = vouchers.sample(step.voucher, instant) if step.voucher else None
    return [
        rendering.Recipient(
            "00000000-0000-0000-0000-000000000000", customers[customer_id], instant, variables, voucher, "CDFGHJKLMNPQ"
        )
        for customer_id, variables in found
    ]
