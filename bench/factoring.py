"""How fast an email is factored, and how small it gets, against rendering each message in full.

Run it with `.venv/bin/python bench/factoring.py [people]`. Medians of three alternating runs, on one core.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

from lifecycle import factoring, links, rendering
from lifecycle.channels import EmailBatch, OutgoingEmail
from lifecycle.channels.sendgrid_email import batch_body, mail_body
from lifecycle.factoring import Addressed
from lifecycle.journey import Email, Journey, Step
from lifecycle.rendering import Customer, Recipient
from lifecycle.vouchers import IssuedVoucher

RUNS = 3
PEOPLE = 20_000
SUBJECT = '{{ customer.first_name or "Hello" }}, {{ voucher.percent_off }} % for you'
ROW = '<tr><td style="padding:12px 24px;font:16px/24px Helvetica,Arial,sans-serif;color:#333">{}</td></tr>\n'
PERSONAL = [
    'Dear {{ customer.first_name or "customer" }}, we miss you in {{ customer.city or "town" }}.',
    "{{ voucher.percent_off }} % off with <b>{{ voucher.code }}</b> until {{ voucher.expires_at | day }}.",
    '<a href="{{ link("shop") }}">Shop now</a>',
]
LAYOUT = """<html><body><table>{% block words %}{% endblock %}</table>
<p>{{ sender_name }}, {{ postal_address }}. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>"""
TEXT = """Dear {{ customer.first_name or "customer" }}, we miss you in {{ customer.city or "town" }}.

{{ voucher.percent_off }} % off with {{ voucher.code }} until {{ voucher.expires_at | day }}: {{ link("shop") }}

{{ sender_name }}, {{ postal_address }}. Unsubscribe: {{ unsubscribe_url }}
"""


def main() -> None:
    """Print both rates, their ratio, and the bytes each person adds."""
    people_count = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    with tempfile.TemporaryDirectory() as folder:
        journey = _project(Path(folder))
        people = _people(people_count)
        timings = [_both(journey, people) for _ in range(RUNS)]
        whole, factored = (statistics.median(rates) for rates in zip(*timings, strict=True))
        _print(journey, people, whole, factored)


def _print(journey: Journey, people: list[Addressed], whole: float, factored: float) -> None:
    step = journey.steps[0]
    full = rendering.render(journey, step, people[0].recipient)
    each = sum(_size(mail_body(email)) for email in _emails(journey, people[:500])) / 500
    found = factoring.factor(journey, step, people)
    batched = sum(_size(batch_body(batch)) for batch in found.batches) / len(people)
    print(f"email of {len(full.html.encode())} + {len(full.text.encode())} bytes, {len(people)} people")
    print(f"full render   {whole:8.0f} messages/s {each:8.0f} bytes/person as JSON")
    print(
        f"factored      {factored:8.0f} messages/s {batched:8.0f} bytes/person as JSON, {len(found.batches)} requests"
    )
    print(
        f"factoring: messages_per_s={factored:.0f} vs_render={factored / whole:.1f} bytes_vs_render={each / batched:.0f}"
    )


def _both(journey: Journey, people: list[Addressed]) -> tuple[float, float]:
    few = people[: max(1, len(people) // 20)]
    return (
        len(few) / _seconds(lambda: list(_emails(journey, few))),
        len(people) / _seconds(lambda: list(_factored(journey, people))),
    )


def _emails(journey: Journey, people: list[Addressed]) -> Iterator[OutgoingEmail]:
    for person in people:
        words = rendering.render(journey, journey.steps[0], person.recipient)
        message_id = person.recipient.message_id
        leave = links.url(message_id, links.UNSUBSCRIBE)
        yield OutgoingEmail(message_id, person.to, words.subject, words.html, words.text, leave)


def _factored(journey: Journey, people: list[Addressed]) -> Iterator[EmailBatch]:
    """As delivery does it: a chunk at a time."""
    for start in range(0, len(people), factoring.PER_REQUEST):
        chunk = people[start : start + factoring.PER_REQUEST]
        yield from factoring.factor(journey, journey.steps[0], chunk).batches


def _seconds(work: Callable[[], object]) -> float:
    """On the processor: others on this machine do not count."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _size(body: dict[str, object]) -> int:
    return len(json.dumps(body))


def _people(count: int) -> list[Addressed]:
    as_of = datetime(2026, 3, 31, 10, tzinfo=timezone.utc)
    cities = ["London", "Leeds", "Bath", "York", None]
    return [
        Addressed(
            Recipient(
                f"7b1f0f6e-0000-4000-8000-{number:012d}",
                Customer(str(number), f"Name{number % 997}" if number % 10 else None, city=cities[number % 5]),
                as_of,
                voucher=IssuedVoucher(f"AB{number:07d}", 15, as_of + timedelta(days=14)),
            ),
            f"person{number}@example.com",
        )
        for number in range(count)
    ]


def _project(folder: Path) -> Journey:
    """A project of one email of about 8 kB with six personal pieces."""
    os.environ |= {
        "LIFECYCLE_PROJECT": str(folder),
        "LIFECYCLE_HOME": str(folder / "home"),
        "LIFECYCLE_PUBLIC_URL": "https://shop.example",
    }
    templates = folder / "include" / "templates"
    (templates / "winback").mkdir(parents=True)
    (templates / "layouts").mkdir()
    (templates / "links.yaml").write_text("shop: https://shop.example/\n")
    (templates / "layouts" / "letter.email.html.j2").write_text(LAYOUT)
    rows = [*PERSONAL, *["All the words that everybody reads alike. " * 3] * 32]
    block = "".join(map(ROW.format, rows))
    (templates / "winback" / "letter.email.html.j2").write_text(
        f'---\nsubject: {SUBJECT}\n---\n{{% extends "layouts/letter.email.html.j2" %}}\n'
        f"{{% block words %}}{block}{{% endblock %}}\n"
    )
    (templates / "winback" / "letter.email.txt.j2").write_text(TEXT)
    segment = folder / "include" / "sql" / "journeys" / "winback" / "all.sql"
    segment.parent.mkdir(parents=True)
    segment.write_text("select customers.customer_id, 'signup' as anchor from shop.customers as customers\n")
    return Journey(name="winback", steps=[Step("letter", segment="all.sql", message=Email("letter"))])


if __name__ == "__main__":
    main()
