"""The three queue designs that most sending tools use, as small as they can be, to be counted beside ours.

lease: mark after the send, and take over what a dead worker held (queues with rescue). cursor: move the cursor when a
batch is fetched. mark: mark before the send and never try again.
"""

from __future__ import annotations

from typing import Any

from bench.statements import execute, rows

TITLES = {
    "lease": "lease, mark after send, take over dead ones",
    "cursor": "cursor moved when a batch is fetched",
    "mark": "mark before send, never retry",
}
DESIGNS = tuple(TITLES)
CHUNK = 40


def prepare(messages: int) -> None:
    """Some of the people ours has, in a queue of the designs' own."""
    execute("naive_prepare.sql", messages=messages)


def send(design: str, channel: Any) -> int:
    """Send one chunk; returns how many that were."""
    from lifecycle.channels import OutgoingSms

    chunk = rows(f"naive_{design}_claim.sql", 1 if design == "mark" else CHUNK)
    for message_id, phone in chunk:
        receipt = channel.send(OutgoingSms(str(message_id), phone, "Hello"))
        if design == "lease" and receipt.outcome in ("accepted", "rejected"):
            rows("naive_mark.sql", message_id)
    return len(chunk)
