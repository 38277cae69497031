"""One sending process: imports what it needs, says `ready`, waits for a line, sends, and reports as JSON.

`python -m bench.sender '{"design": "ours", ...}'` is started by `bench.sending`; it never imports Airflow.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import peers, profile, project


def main() -> None:
    """Do what the first argument says."""
    work = json.loads(sys.argv[1])
    go = DESIGNS[work["design"]](work)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    wall, started = time.perf_counter(), time.process_time()
    go()
    report = {
        "cpu_seconds": time.process_time() - started,
        "rss_mb": _peak_megabytes(),
        "phases": profile.phases(time.perf_counter() - wall, time.process_time() - started),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    # Its Postgres session stays until its processor time was read.
    sys.stdin.readline()


def ours(work: dict[str, Any]) -> Callable[[], object]:
    """The engine: claim, render, send, record; one shard after the other, as the tasks of a worker."""
    from lifecycle import database, delivery, links, rendering
    from lifecycle.channels.accounts import sandbox_accounts
    from lifecycle.channels.sendgrid_email import SendGridEmail
    from lifecycle.channels.twilio_sms import TwilioSms

    accounts = sandbox_accounts(work["sink"])
    journey = project.letter() if work["channel"] == "email" else project.note()
    channel: Any = SendGridEmail(accounts.sendgrid)
    if work["channel"] == "sms":
        channel = TwilioSms(accounts.twilio, status_callback=f"{links.base_url()}/twilio/status")
    context, step = project.context(journey), journey.steps[0]
    rendering.require_ready(journey, step)
    with database.transaction() as connection:
        database.require_schema(connection)
    if work["profile"]:
        channel = profile.watch(channel)

    def go() -> None:
        for shard in work["shards"]:
            delivery.send(context, step, channel, shard=shard, shards=work["of"])

    return go


def _peak_megabytes() -> float:
    """The most memory this process had; unlike `ru_maxrss` without what its parent had when it forked."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


DESIGNS: dict[str, Callable[[dict[str, Any]], Callable[[], object]]] = {
    "ours": ours,
    "naive email": peers.naive_email,
    "anymail": peers.anymail,
    "naive sms": peers.naive_sms,
    "twilio sdk": peers.twilio_sdk,
}

if __name__ == "__main__":
    main()
