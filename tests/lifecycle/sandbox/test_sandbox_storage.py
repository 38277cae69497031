"""The sandbox stays as quick with many messages as with few, so that what it counts is the senders' own speed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.sandbox.messages import Received
from lifecycle.sandbox.storage import Storage

LOOKUPS = 200
_ANY = ("number", "provider_id", "subject", "after", "from", "before", "until", "categories", "statuses")


def stored(path: Path, messages: int) -> Storage:
    storage = Storage(path)
    texts = [Received("sms", "twilio", f"SM{n}", None, f"+44{n}", "+15", "", "Hi") for n in range(messages)]
    with storage.transaction():
        storage.keep("{}", texts, 0)
    return storage


def look_up_sms(storage: Storage, address: str) -> int:
    everything = dict.fromkeys(("sender", "sent_from", "sent_until"))
    return len(storage.sms_list(to_address=address, indexed_until=1, limit=50, offset=0, **everything))


def look_up_email(storage: Storage, address: str) -> int:
    everything = dict.fromkeys(_ANY)
    return len(storage.rows("email_logs", to_address=address, indexed_until=1, limit=50, **everything))


@pytest.mark.parametrize("look_up", [look_up_sms, look_up_email])
@pytest.mark.parametrize("address", ["+441", "+49"])
def test_asking_for_one_person_takes_as_long_among_many_as_among_few(
    tmp_path: Path, look_up: Callable[[Storage, str], int], address: str
):
    def seconds(messages: int) -> float:
        storage = stored(tmp_path / f"{messages}.sqlite", messages)
        spent: list[float] = []
        for _ in range(LOOKUPS):
            started = time.process_time()
            look_up(storage, address)
            spent.append(time.process_time() - started)
        storage.close()
        # What a single look-up needs when nothing holds it up.
        return min(spent)

    assert seconds(20_000) < 10 * seconds(20)


def test_somebody_is_found_whatever_the_letter_case_and_nobody_else_is(tmp_path: Path):
    storage = stored(tmp_path / "some.sqlite", 3)
    with storage.transaction():
        storage.keep("{}", [Received("email", "sendgrid", "x", None, "Aiko@Example.com", "s", "Hello", "")], 0)
    assert [look_up_sms(storage, address) for address in ("+440", "+442", "+443")] == [1, 1, 0]
    assert [look_up_email(storage, address) for address in ("aiko@example.com", "+440")] == [1, 0]
    storage.close()
