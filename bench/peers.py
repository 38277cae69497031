"""What we are measured beside, each as good as its documentation makes it: the loops over both SDKs, django-anymail.

They render the same templates for the same people. None of them claims before it sends, so a crash loses or repeats.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PER_CALL = 500
_PEOPLE = "select customer_id, email, phone, first_name, city from imported.customers order by customer_id limit %s"
_SENT = "update public.naive_queue set sent_at = now() where customer_id = %s"


def naive_email(work: dict[str, Any]) -> Callable[[], object]:
    """`SendGridAPIClient.send` of one `Mail` after the other, rendered with Jinja, and a commit for each."""
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient("SG.sandbox.not-a-real-key", host=work["sink"])
    connection, words = _connected(), Words()

    def go() -> None:
        for person in _people(connection, work["people"]):
            subject, html, text = words.email(person)
            mail = Mail(
                from_email=words.sender,
                to_emails=person["email"],
                subject=subject,
                html_content=html,
                plain_text_content=text,
            )
            client.send(mail)
            connection.execute(_SENT, [person["customer_id"]])

    return go


def anymail(work: dict[str, Any]) -> Callable[[], object]:
    """django-anymail's SendGrid backend with `merge_data`, 500 people a call; it sends and records nothing."""
    from django.conf import settings as django

    # It says of its SendGrid backend that nobody looks after it any more.
    warnings.filterwarnings("ignore", message="django-anymail has dropped official support")
    django.configure(
        EMAIL_BACKEND="anymail.backends.sendgrid.EmailBackend",
        ANYMAIL={
            "SENDGRID_API_KEY": "SG.sandbox.not-a-real-key",
            "SENDGRID_API_URL": f"{work['sink']}/v3/",
            "SENDGRID_MERGE_FIELD_FORMAT": "-{}-",
        },
    )
    from anymail.message import AnymailMessage
    from django.core.mail import get_connection

    words = Words()
    people = _people(_connected(), work["people"])
    slots = {"email": "", "first_name": "-first_name-", "city": "-city-", "customer_id": "-customer_id-"}
    subject, html, text = words.email(slots)

    def go() -> None:
        with get_connection() as connection:
            for start in range(0, len(people), PER_CALL):
                chunk = people[start : start + PER_CALL]
                message = AnymailMessage(subject, text, words.sender, [person["email"] for person in chunk])
                message.attach_alternative(html, "text/html")
                message.merge_data = {person["email"]: _merged(person) for person in chunk}
                message.merge_headers = {person["email"]: _leave(words, person) for person in chunk}
                connection.send_messages([message])

    return go


def _merged(person: dict[str, Any]) -> dict[str, Any]:
    return {
        "first_name": person["first_name"] or "customer",
        "city": person["city"] or "town",
        "customer_id": person["customer_id"],
    }


def _leave(words: Words, person: dict[str, Any]) -> dict[str, str]:
    url = words.unsubscribe_url(person)
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def naive_sms(work: dict[str, Any]) -> Callable[[], object]:
    """`messages.create` for one person after the other, rendered with Jinja, and a commit for each."""
    create = _twilio(work["sink"], threads=1)
    connection, words = _connected(), Words()

    def go() -> None:
        for person in _people(connection, work["people"]):
            create(person["phone"], words.sms(person))
            connection.execute(_SENT, [person["customer_id"]])

    return go


def twilio_sdk(work: dict[str, Any]) -> Callable[[], object]:
    """Nothing but `messages.create`, in as many threads as ours; the same text for everybody, nothing recorded."""
    create = _twilio(work["sink"], threads=work["threads"])
    people = _people(_connected(), work["people"])
    text = Words().sms(people[0])

    def go() -> None:
        with ThreadPoolExecutor(work["threads"]) as pool:
            for _ in pool.map(lambda person: create(person["phone"], text), people):
                pass

    return go


def _twilio(sink: str, *, threads: int) -> Callable[[str, str], object]:
    from requests.adapters import HTTPAdapter
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Redirected(TwilioHttpClient):
        """The SDK's own client, with its address replaced."""

        def request(self, method: str, url: str, *rest: Any, **options: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", sink, 1), *rest, **options)

    http: Any = Redirected()
    # Without it the SDK's session opens a new connection for every thread beyond the tenth.
    http.session.mount("http://", HTTPAdapter(pool_maxsize=threads))
    client = Client("AC" + "0" * 32, "sandbox-not-a-real-token", http_client=http)
    return lambda number, text: client.messages.create(to=number, from_="+15005550006", body=text)


class Words:
    """The letter and the note rendered by plain Jinja, from an environment that is kept."""

    def __init__(self) -> None:
        from jinja2 import Environment, FileSystemLoader

        from lifecycle import rendering, settings

        self.sender = settings.sender_email()
        self._base = settings.public_url()
        self._shared = {"sender_name": settings.sender_name(), "postal_address": settings.postal_address()}
        folder = settings.templates_folder()
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=lambda name: bool(name and name.endswith(".html.j2")),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        page = (folder / "letter" / "letter.email.html.j2").read_text(encoding="utf-8")
        self._subject = environment.from_string(rendering.front_matter(page)["subject"])
        # What stands before `extends` would be printed.
        overlay = environment.overlay(autoescape=True)
        self._html = overlay.from_string(page.split("---\n", 2)[2])
        self._text = environment.get_template("letter/letter.email.txt.j2")
        self._sms = environment.get_template("letter/note.sms.j2")

    def email(self, person: dict[str, Any]) -> tuple[str, str, str]:
        """Subject, HTML and text for a person."""
        values = self._values(person)
        return self._subject.render(values), self._html.render(values), self._text.render(values)

    def sms(self, person: dict[str, Any]) -> str:
        """The text message for a person."""
        return self._sms.render(self._values(person))

    def unsubscribe_url(self, person: dict[str, Any]) -> str:
        """Where a person unsubscribes."""
        return f"{self._base}/u/{person['customer_id']}"

    def _values(self, person: dict[str, Any]) -> dict[str, Any]:
        return {
            **self._shared,
            "customer": person,
            "unsubscribe_url": self.unsubscribe_url(person),
            "link": lambda name: f"{self._base}/l/{name}/{person['customer_id']}",
        }


def _connected() -> Any:
    import psycopg
    from psycopg.rows import dict_row

    from lifecycle import embedded_postgres, settings

    url = embedded_postgres.plain_url(settings.database_url())
    connection: Any = psycopg.connect(url, autocommit=True)
    connection.row_factory = dict_row
    return connection


def _people(connection: Any, count: int) -> list[dict[str, Any]]:
    return connection.execute(_PEOPLE, [count]).fetchall()
