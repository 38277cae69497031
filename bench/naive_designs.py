"""The three queue designs that most sending tools use, as small as they can be, to be counted beside ours.

lease: mark after the send, and take over what a dead worker held (queues with rescue). cursor: move the cursor when a
batch is fetched. mark: mark before the send and never try again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

DESIGNS = ("lease", "cursor", "mark")
TITLES = {
    "lease": "lease, mark after send, take over dead ones",
    "cursor": "cursor moved when a batch is fetched",
    "mark": "mark before send, never retry",
}
CHUNK = 40
LEASE_SECONDS = 4


def prepare(design: str) -> None:
    """The same people as ours, in a queue of the design's own."""
    _script("naive_prepare.sql")


def progress(design: str) -> tuple[int, int]:
    """How many are open, and how many are done, as the design itself believes."""
    found = _rows("naive_progress.sql")[0]
    return found[0], found[1]


def ids() -> set[str]:
    """The people of the queue."""
    return {str(row[0]) for row in _rows("naive_ids.sql")}


def work(design: str, channel: Any) -> None:
    """Send until killed."""
    from lifecycle.channels import OutgoingSms

    while True:
        chunk = _rows(f"naive_{design}_claim.sql", 1 if design == "mark" else CHUNK)
        for message_id, phone in chunk:
            receipt = channel.send(OutgoingSms(str(message_id), phone, "Hello"))
            if design == "lease" and receipt.outcome in ("accepted", "rejected"):
                _rows("naive_mark.sql", message_id)
        if not chunk:
            time.sleep(0.2)


def _rows(name: str, *values: Any) -> list[Any]:
    from lifecycle import database

    with database.transaction() as connection:
        text = (Path(__file__).parent / "sql" / name).read_bytes()
        return database.driver(connection).execute(text, values or None).fetchall()


def _script(name: str) -> None:
    from lifecycle import database

    with database.transaction() as connection:
        database.driver(connection).execute((Path(__file__).parent / "sql" / name).read_bytes())
