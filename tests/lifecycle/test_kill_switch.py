"""The kill switch, pulled while processes of their own send: what they hold still goes, and not one message more."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from time import monotonic, sleep

from tests.lifecycle.test_delivery import Desk
from tests.lifecycle.test_delivery import desk as desk
from tests.sandbox_client import SandboxClient

from lifecycle import controls, delivery, senders

WORKERS, MESSAGES = 2, 600
WORKER = """
import sys
from datetime import date
from lifecycle import runs, senders, stages
from lifecycle.journey import Journey, Sms, Step, Voucher
step = Step("greet", segment="all.sql", message=Sms("greet"), voucher=Voucher(percent_off=10, valid_days=7))
context = runs.for_day(Journey("hello", steps=[step]), date(2026, 3, 31), "Europe/London")
stages.send(context, step, senders.sandbox_channel(step), shard=int(sys.argv[1]), shards=int(sys.argv[2]))
"""


def test_after_a_pause_at_most_one_chunk_of_each_sender_goes(desk: Desk, sandbox: SandboxClient) -> None:
    desk.execute(
        "insert into imported.customers (customer_id, signed_up_at, phone, sms_opt_in_at) "
        "select 'more-' || n, '2020-01-01', '+3363999' || lpad(n::text, 4, '0'), '2020-01-01' "
        f"from generate_series(1, {MESSAGES - 3}) as n"
    )
    desk.plan()
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, str(shard), str(WORKERS)]) for shard in range(WORKERS)]
    try:
        deadline = monotonic() + 60
        while len(sandbox.messages()) < 60 and monotonic() < deadline:
            sleep(0.02)
        controls.set_state("all", "paused", "a wrong price")
        at_the_pause = len(sandbox.messages())
        assert [worker.wait(timeout=300) for worker in workers] == [0] * WORKERS
    finally:
        for worker in workers:
            worker.kill()
    went_out = len(sandbox.messages())
    assert 60 <= at_the_pause <= went_out <= at_the_pause + WORKERS * delivery.CHUNK
    assert went_out < MESSAGES, "the pause came too late to show anything"
    states = Counter(state for state, _ in desk.states().values())
    # A slow machine may miss an answer: then nobody here knows whether the message went out.
    assert states["accepted"] <= went_out <= states["accepted"] + states["uncertain"]
    assert states["queued"] == MESSAGES - states["accepted"] - states["uncertain"]
    controls.set_state("all", "open", "")
    channel = senders.sandbox_channel(desk.step)
    desk.send(channel)
    desk.let_time_pass(5)
    desk.send(channel)
    received = [message["message_id"] for message in sandbox.messages()]
    assert len(received) == len(set(received)) == MESSAGES
