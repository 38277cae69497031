"""Kills and freezes senders at random, lets the provider misbehave, and counts what arrived: nobody twice, nobody lost.

`python -m bench.chaos --messages 20000 --kills 40 --stops 4` sends that many SMS of the reactivation ladder through the
real Twilio SDK into the counting sandbox, and does the same with the three designs that most tools use. Its last line is
for machines. Everything lives in a folder of its own and is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench import naive_designs

DAY = date(2026, 3, 31)
ZONE = "Europe/London"
FAULTS = ("reset_before_accept", "reset_after_accept", "late_answer", "503_not_accepted", "503_accepted", "429")
# A fiftieth of the real times, so that leases end while the test runs; their order is what matters.
LEASE_SECONDS, SLOWEST_ANSWER_SECONDS, TIMEOUT_SECONDS, SETTLE_AFTER_SECONDS = 4.0, 2.0, 1.0, 3.0
STOP_SECONDS = 6.0
WORKERS = 3
# Days after the measured one; each brings a few messages.
WITNESS_DAYS = 6


@dataclass
class Outcome:
    """What one design did to its people."""

    design: str
    messages: int
    kills: int
    stops: int
    duplicates: int
    lost: int
    unsettled: int
    seconds: float

    def line(self) -> str:
        """One row of the table."""
        return (
            f"{self.design:<44} {self.messages:>8,} {self.kills:>6} {self.stops:>6} "
            f"{self.duplicates:>6} {self.lost:>6} {self.unsettled:>10} {self.seconds:>8.0f}"
        )


def main() -> None:
    """Run ours and the others, print the table and the line for machines."""
    options = _options()
    if options.worker:
        worker(options.worker, options.shard)
        return
    with tempfile.TemporaryDirectory(prefix="lifecycle-chaos-") as folder:
        os.environ.update(_environment(Path(folder)))
        from lifecycle import embedded_postgres, stack

        try:
            _fill(options.messages)
            outcomes = [
                _run(design, options) for design in ["ours", *(naive_designs.DESIGNS if options.compare else [])]
            ]
        finally:
            stack.stop_all()
            embedded_postgres.remove()
    _print(outcomes)
    ours = outcomes[0]
    if ours.duplicates or ours.lost or ours.unsettled:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=15)
    parser.add_argument("--fault-rate", type=float, default=0.001, help="of each of the six faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compare", dest="compare", action="store_false", help="only ours")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--shard", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment(home: Path) -> dict[str, str]:
    return {"LIFECYCLE_HOME": str(home), "LIFECYCLE_PUBLIC_URL": "http://127.0.0.1:8026", "LIFECYCLE_DATABASE_URL": ""}


# --- the shop ---------------------------------------------------------------------------------------------------------


def _fill(messages: int) -> None:
    """Customers who are due for the survey on the day, and a few on each of the days after: the witnesses."""
    from lifecycle import database

    database.migrate()
    with database.transaction() as connection:
        raw = database.driver(connection)
        raw.execute(
            (Path(__file__).parent / "sql" / "fill_shop.sql").read_bytes().replace(b"{messages}", b"%d" % messages)
        )


def _plan(day: date) -> None:
    from lifecycle import stages

    context, step = _context(day), _step()
    stages.record_conversions(context)
    stages.select_audience(context, step)
    stages.queue_messages(context, step, [])


def _context(day: date) -> Any:
    from lifecycle import runs

    return runs.for_day(_journey(), day, ZONE)


def _step() -> Any:
    return _journey().steps[0]


@lru_cache(maxsize=1)
def _journey() -> Any:
    """The ladder's first step, declared here: reading the Dag file would load Airflow into every new worker."""
    from lifecycle.journey import Journey, Sms, Step

    return Journey("reactivation", steps=[Step("survey", segment="silent_30_days.sql", message=Sms("survey"))])


# --- one run ----------------------------------------------------------------------------------------------------------


def _run(design: str, options: argparse.Namespace) -> Outcome:
    from lifecycle import stack

    url = stack.start_sandbox()
    _call("DELETE", f"{url}/messages.json")
    _call("DELETE", f"{url}/faults")
    if design == "ours":
        _plan(DAY)
    else:
        naive_designs.prepare(design)
    faults = [{"fault": fault, "rate": options.fault_rate, "seed": options.seed} for fault in FAULTS]
    _call("PUT", f"{url}/faults", faults)
    started = time.monotonic()
    workers = [_spawn(design, shard) for shard in range(WORKERS)]
    try:
        kills, stops = _torment(workers, design, options)
    finally:
        for process in workers:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
    return _count(design, options.messages, kills, stops, time.monotonic() - started, url)


def _spawn(design: str, shard: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.chaos", "--worker", design, "--shard", str(shard)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1]
    )


def _torment(workers: list[subprocess.Popen[bytes]], design: str, options: argparse.Namespace) -> tuple[int, int]:
    """Kill and freeze workers spread over the whole queue, until everything is decided."""
    chance = random.Random(options.seed)
    blows = ["kill"] * options.kills + ["stop"] * options.stops
    chance.shuffle(blows)
    every = max(1, options.messages // (len(blows) + 1))
    struck, kills, stops, witness_days, next_witness = 0, 0, 0, 0, 0.0
    deadline = time.monotonic() + 120 + options.messages / 100
    while time.monotonic() < deadline:
        open_messages, decided = _progress(design)
        while struck < len(blows) and decided >= every * (struck + 1):
            victim = chance.randrange(WORKERS)
            if blows[struck] == "kill":
                workers[victim].kill()
                kills += 1
            else:
                _freeze(workers[victim])
                stops += 1
            struck += 1
        for shard, process in enumerate(workers):
            if process.poll() is not None:
                workers[shard] = _spawn(design, shard)
        if not open_messages:
            break
        is_late = open_messages < 500 and struck == len(blows) and time.monotonic() > next_witness
        if design == "ours" and is_late and witness_days < WITNESS_DAYS:
            # The next day's messages: what the provider's register shows of them proves what it does not show.
            time.sleep(SETTLE_AFTER_SECONDS + LEASE_SECONDS)
            witness_days += 1
            _plan(DAY + timedelta(days=witness_days))
            next_witness = time.monotonic() + 10
        time.sleep(0.05)
    return kills, stops


def _freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a worker for longer than its lease, then let it go on as if nothing had happened."""
    process.send_signal(signal.SIGSTOP)
    pid = process.pid
    code = f"import os,time;time.sleep({STOP_SECONDS});os.kill({pid},18)"
    subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def _progress(design: str) -> tuple[int, int]:
    """How many messages are still open, and how many are decided."""
    if design != "ours":
        return naive_designs.progress(design)
    found = _query("progress.sql")[0]
    return found[0], found[1]


def _count(design: str, messages: int, kills: int, stops: int, seconds: float, url: str) -> Outcome:
    deliveries: dict[str, int] = json.loads(_call("GET", f"{url}/deliveries.json"))
    ids = {str(row[0]) for row in _query("ids.sql")} if design == "ours" else naive_designs.ids()
    unsettled = _progress(design)[0] if design == "ours" else 0
    duplicates = sum(count > 1 for message, count in deliveries.items() if message in ids)
    lost = sum(message not in deliveries for message in ids)
    return Outcome(
        naive_designs.TITLES.get(design, "ours: claim, fence, evidence"),
        len(ids),
        kills,
        stops,
        duplicates,
        lost,
        unsettled,
        seconds,
    )


def _query(name: str) -> list[Any]:
    from lifecycle import database

    with database.transaction() as connection:
        return database.driver(connection).execute((Path(__file__).parent / "sql" / name).read_bytes()).fetchall()


def _call(method: str, url: str, body: object = None) -> bytes:
    request = Request(url, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:
        return answer.read()


# --- a worker ---------------------------------------------------------------------------------------------------------


def worker(design: str, shard: int) -> None:
    """Send until killed."""
    from lifecycle import links, stack
    from lifecycle.channels.accounts import sandbox_accounts
    from lifecycle.channels.twilio_sms import TwilioSms

    account = sandbox_accounts(stack.sandbox_url()).twilio
    channel = TwilioSms(account, timeout_seconds=TIMEOUT_SECONDS, status_callback=f"{links.base_url()}/twilio/status")
    if design != "ours":
        naive_designs.work(design, channel)
        return
    from lifecycle import delivery, evidence, outbox, stages
    from lifecycle.errors import LifecycleError

    outbox.LEASE_SECONDS = LEASE_SECONDS
    delivery.SLOWEST_ANSWER_SECONDS = SLOWEST_ANSWER_SECONDS
    evidence.SETTLE_AFTER_SECONDS = SETTLE_AFTER_SECONDS
    context, step = _context(DAY + timedelta(days=WITNESS_DAYS)), _step()
    while True:
        try:
            sent = stages.send(context, step, channel)
        except LifecycleError:
            sent = {}
        if not sent:
            time.sleep(0.2)


def _print(outcomes: list[Outcome]) -> None:
    write = sys.stdout.write
    write(
        f"{'design':<44} {'messages':>8} {'kills':>6} {'stops':>6} {'2+':>6} {'never':>6} {'unsettled':>10} {'seconds':>8}\n"
    )
    for outcome in outcomes:
        write(outcome.line() + "\n")
    ours = outcomes[0]
    write(
        f"chaos: messages={ours.messages} kills={ours.kills} stops={ours.stops} duplicates={ours.duplicates} "
        f"lost={ours.lost} unsettled={ours.unsettled} seconds={ours.seconds:.0f}\n"
    )


if __name__ == "__main__":
    main()
