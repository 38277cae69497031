"""A journey of one email, its people, the sandbox it is sent to, and every way a sender can die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from typing import Any
from urllib.request import Request, urlopen

from tests.lifecycle.test_delivery import SEGMENT
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import runs, stages
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail
from lifecycle.journey import Email, Journey, Step

DAY = date(2026, 3, 31)
ZONE = "Europe/London"
# Longer than the sandbox needs on a machine that has much else to do.
TIMEOUT_SECONDS = 6
# A delay after which nobody waits for the answer any more.
TOO_LATE_MS = TIMEOUT_SECONDS * 1000 + 1000
# A sender that dies with a request under way: by then the sandbox has it.
DIES_AFTER_SECONDS = 2
# Where a sender may die (reliability §1.3), and what the provider does to the request that is under way.
DEATHS = [
    ("before_first_byte", None),
    ("request_under_way", "late_answer"),
    ("request_under_way", "late_accept"),
    ("answer_in_hand", None),
    ("doubt_noted", "reset_before_accept"),
    ("doubt_noted", "reset_after_accept"),
]

_SENDER = """
import os, sys, threading
from lifecycle import holds, stages
from lifecycle.channels.sendgrid_email import SendGridEmail
from tests.lifecycle import mail_desk

die_at = sys.argv[1]

class Mortal(SendGridEmail):
    def post(self, body):
        if die_at == "before_first_byte":
            os._exit(9)
        if die_at == "request_under_way":
            threading.Timer(mail_desk.DIES_AFTER_SECONDS, os._exit, [9]).start()
        answer = super().post(body)
        if die_at == "answer_in_hand":
            os._exit(9)
        return answer

if die_at == "doubt_noted":
    holds.wait_and_settle = lambda *_: os._exit(9)
step = mail_desk.journey().steps[0]
stages.send(mail_desk.context(), step, mail_desk.channel(os.environ["LIFECYCLE_SANDBOX_URL"], Mortal))
"""


def journey() -> Journey:
    """The journey; declared here, because reading a Dag file loads Airflow."""
    return Journey("letter", steps=[Step("news", segment="all.sql", message=Email("news"))])


def context() -> runs.RunContext:
    """The run of the day."""
    return runs.for_day(journey(), DAY, ZONE)


def channel(url: str, kind: type[SendGridEmail] = SendGridEmail) -> SendGridEmail:
    """The real channel, pointed at the sandbox."""
    return kind(sandbox_accounts(url).sendgrid, TIMEOUT_SECONDS)


class MailDesk:
    """Plans, sends, and looks into the database and the sandbox."""

    def __init__(self, project: ProjectBuilder, shop: Shop, url: str) -> None:
        self.shop = shop
        self.url = url
        project.segment("letter", "all", SEGMENT)
        words = 'Hello {{ customer.first_name or "you" }} {{ unsubscribe_url }}'
        project.template("letter", "news.email.html.j2", f"---\nsubject: News\n---\n<p>{words}</p>")
        project.template("letter", "news.email.txt.j2", words)
        self.step = journey().steps[0]

    def people(self, *names: str) -> None:
        """More customers, each with a message planned."""
        for name in names:
            self.shop.customer(name, first_name=name.title(), email=f"{name.title()}@example.com")
        stages.record_conversions(context())
        stages.select_audience(context(), self.step)
        stages.queue_messages(context(), self.step, [])

    def send(self, kind: type[SendGridEmail] = SendGridEmail) -> dict[str, int]:
        """One try of the `send` task."""
        return stages.send(context(), self.step, channel(self.url, kind))

    def send_and_die(self, die_at: str) -> None:
        """A `send` task in a process of its own that dies (reliability §1.3, crash points 3 to 6).

        `before_first_byte`, `request_under_way`, `answer_in_hand`, or `doubt_noted`: after an unclear answer was noted.
        """
        environment = {**os.environ, "LIFECYCLE_SANDBOX_URL": self.url}
        done = subprocess.run([sys.executable, "-c", _SENDER, die_at], env=environment, capture_output=True, text=True)
        assert done.returncode == 9, done.stderr

    def faults(self, *names: str, **more: Any) -> None:
        """How the sandbox fails from now on: the next call that sends, unless said otherwise."""
        self.call("PUT", "faults", [{"fault": name, "for_next": 1, **more} for name in names])

    def behaviour(self, **switches: Any) -> None:
        """What the sandbox does where SendGrid's description leaves it open."""
        self.call("PUT", "behaviour", switches)

    def let_hours_pass_at_the_provider(self, hours: float = 3) -> None:
        """Everything that is held has left, or was discarded."""
        self.call("POST", "clock", {"advance_seconds": hours * 3600})

    def copies(self) -> dict[str, int]:
        """How often each person got their email."""
        names = {str(message_id): name for name, message_id in self.all("customer_id, message_id")}
        return {names[message_id]: count for message_id, count in self.call("GET", "deliveries.json").items()}

    def at_provider(self) -> dict[str, int]:
        """How many emails the sandbox has, by state."""
        return {state: count for state, count in self.call("GET", "stats.json")["email"].items() if count}

    def states(self) -> dict[str, str]:
        """The state of each message, by person."""
        return dict(self.all("customer_id, send_state"))

    def all(self, columns: str, table: str = "messages") -> list[tuple[Any, ...]]:
        """Columns of a table of ours."""
        return self.shop.connection.execute(f"select {columns} from lifecycle.{table}".encode()).fetchall()

    def let_time_pass(self, minutes: int) -> None:
        """For us, everything happened so much earlier; the provider's clock stands still."""
        earlier = f"- interval '{minutes} minutes'"
        for statement in (
            f"update lifecycle.messages set lease_until = lease_until {earlier}, planned_at = planned_at {earlier}",
            f"update lifecycle.attempts set started_at = started_at {earlier}, ended_at = ended_at {earlier}",
            f"update lifecycle.holds set opened_at = opened_at {earlier}, send_at = send_at {earlier}",
        ):
            self.shop.connection.execute(statement.encode())

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask or tell the sandbox something."""
        request = Request(f"{self.url}/{path}", method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None
