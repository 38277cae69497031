"""Posts signed events at the receiver: doubled, shuffled and mixed with forgeries, and compares the tables with the truth.

`python -m bench.webhooks` posts 50,000 different events, a fifth of them twice, with 5 % of the requests forged,
to the receiver in this process on an embedded Postgres of its own. Its last line is for machines. `--bodies 100000` posts
that many random bodies as well and counts the answers with status 500.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import stopping

PER_REQUEST = 500
PER_VISITOR = 50
PATHS = ("/sendgrid/events", "/twilio/status?message_id=1", "/twilio/inbound", "/u/x", "/l/x", "/p/x")
# A provider does not wait for one answer before it asks again.
CONNECTIONS = 2
STORY = ("processed", "deferred", "delivered", "open", "click")
TRUTH = {"delivered": ("delivered_at", 3), "open": ("opened_human_at", 4), "click": ("clicked_at", 5)}
STARTED = 1_760_000_000


@stopping.cleaning_up_when_told_to_end()
def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--bodies", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lifecycle-webhooks-") as folder:
        os.environ.update(LIFECYCLE_HOME=folder, LIFECYCLE_PUBLIC_URL="http://links.test", LIFECYCLE_DATABASE_URL="")
        from lifecycle import embedded_postgres

        try:
            print(run(arguments.events, arguments.bodies))
        finally:
            embedded_postgres.remove()


def run(count: int, bodies: int) -> str:
    """Post everything; returns the line for machines."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import psycopg
    from starlette.testclient import TestClient
    from tests.lifecycle.receiver.providers import SendGrid, Twilio
    from tests.lifecycle.sent_messages import SentMessages

    from lifecycle import database
    from lifecycle.receiver.app import create_app
    from lifecycle.receiver.keys import WebhookKeys

    database.migrate()
    genuine, forger, twilio = SendGrid(), SendGrid(), Twilio()
    chance = random.Random(15)
    with psycopg.connect(database.url().replace("+psycopg", ""), autocommit=True) as connection:
        sent = SentMessages(connection)
        ids = sent.add(count // len(STORY))
        events = [_event(message_id, name, place) for message_id in ids for place, name in enumerate(STORY, 1)]
        doubled = [*events, *chance.choices(events, k=len(events) // 5)]
        chance.shuffle(doubled)
        requests = [doubled[first : first + PER_REQUEST] for first in range(0, len(doubled), PER_REQUEST)]
        lies = [
            [_event(message_id, "bounce", 9) for message_id in chance.sample(ids, min(PER_REQUEST, len(ids)))]
            for _ in range(max(1, len(requests) // 20))
        ]
        app = create_app(WebhookKeys((genuine.public_key,), (twilio.token,)))
        with TestClient(app, raise_server_exceptions=False) as client:
            posts = [(genuine, batch, 200) for batch in requests] + [(forger, lie, 403) for lie in lies]
            chance.shuffle(posts)
            signed = [
                (body, sender.headers(body), expected)
                for sender, batch, expected in posts
                for body in [json.dumps(batch).encode()]
            ]

            def is_answered(post: tuple[bytes, dict[str, str], int]) -> bool:
                body, headers, expected = post
                return client.post("/sendgrid/events", content=body, headers=headers).status_code == expected

            started = time.perf_counter()
            with ThreadPoolExecutor(CONNECTIONS) as connections:
                answers = list(connections.map(is_answered, signed))
            seconds = time.perf_counter() - started
            wrong = answers.count(False) + _differences(connection, len(events), len(ids))
            forged = connection.execute(
                "select count(*) from lifecycle.message_events where kind = 'bounced'"
            ).fetchone()
            if bodies:
                print(_fuzz(app, genuine, twilio, chance, bodies))
    database.disconnect()
    assert forged
    return (
        f"webhooks: events={len(events)} forged_accepted={forged[0]} wrong={wrong} "
        f"events_per_s={len(doubled) / seconds:.0f}"
    )


def _event(message_id: str, name: str, place: int) -> dict[str, Any]:
    return {
        "email": f"{message_id}@example.com",
        "timestamp": STARTED + place * 60,
        "event": name,
        "sg_event_id": f"{name}-{message_id}",
        "sg_message_id": f"request{message_id}.filter0001.16648.5515E0B88.0",
        "lifecycle_message_id": message_id,
    }


def _differences(connection: Any, events: int, messages: int) -> int:
    """How many messages and events are not as the story tells it."""
    told = " and ".join(f"{column} = to_timestamp({STARTED + place * 60})" for column, place in TRUTH.values())
    right = connection.execute(
        f"select count(*) from lifecycle.messages where delivery_state = 'delivered' and {told} "
        "and complained_at is null and unsubscribed_at is null"
    ).fetchone()[0]
    stored = connection.execute("select count(*) from lifecycle.message_events").fetchone()[0]
    return abs(messages - right) + abs(events - stored)


def _fuzz(app: Any, sendgrid: Any, twilio: Any, chance: random.Random, bodies: int) -> str:
    """Random bodies, half of them signed, at every address; returns how they were answered."""
    from starlette.testclient import TestClient

    answers: dict[int, int] = {}
    for first in range(0, bodies, PER_VISITOR):
        # Somebody else each time, so that the limit of requests per address turns nobody away.
        visitor = f"10.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}"
        client = TestClient(app, raise_server_exceptions=False, client=(visitor, 50_000))
        for number in range(first, min(first + PER_VISITOR, bodies)):
            status = _post_random_body(client, number, sendgrid, twilio, chance)
            answers[status] = answers.get(status, 0) + 1
    told = " ".join(f"{status}={count}" for status, count in sorted(answers.items()))
    return f"bodies: posted={bodies} answered_500={answers.get(500, 0)} answers: {told}"


def _post_random_body(client: Any, number: int, sendgrid: Any, twilio: Any, chance: random.Random) -> int:
    body = _random_body(chance)
    path = PATHS[number % len(PATHS)]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if path == PATHS[0] and number % 4:
        headers |= sendgrid.headers(body)
    elif path.startswith("/twilio") and number % 4:
        from urllib.parse import parse_qsl

        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        headers |= twilio.signature(f"http://links.test{path}", fields)
    return client.post(path, content=body, headers=headers).status_code


def _random_body(chance: random.Random) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(60))
    if kind == 1:
        names = ("MessageSid", "MessageStatus", "ErrorCode", "From", "To", "Body", "kind", "List-Unsubscribe")
        return "&".join(f"{chance.choice(names)}={chance.choice(_SCRAPS)}" for _ in range(chance.randrange(6))).encode()
    body = json.dumps([{chance.choice(_FIELDS): chance.choice(_VALUES) for _ in range(5)} for _ in range(3)]).encode()
    if kind == 2:
        return body
    place = chance.randrange(len(body))
    return body[:place] + chance.randbytes(2) + body[place + 1 :]


_FIELDS = ("event", "timestamp", "sg_event_id", "email", "reason", "status", "type", "url", "lifecycle_message_id")
_VALUES: tuple[Any, ...] = (
    None, True, -1, 1e308, 10**30, "", "open", "bounce", "\x00", "\ud800", [], {}, [[]], {"a": 1}, "x" * 500, "é", "unsubscribe"
)  # fmt: skip
_SCRAPS = ("", "%00", "%ff%fe", "STOP", "+33639980001", "delivered", "21610", "x" * 300, "%F0%9F%99%82", "a&b", "=")


if __name__ == "__main__":
    main()
