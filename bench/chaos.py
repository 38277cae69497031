"""Kills and freezes senders at random, lets the provider misbehave, and counts what arrived: nobody twice, nobody lost.

`python -m bench.chaos` sends 100,000 SMS of the reactivation ladder through the real Twilio SDK into the counting
sandbox, and smaller numbers with the three designs that most tools use. `--channel email` sends a letter through
SendGrid's SDK instead, and `--hold` holds it. Its last line is for machines. Everything lives in a folder of its own and
is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench import naive_designs, project, stopping
from bench.senders import Senders, for_ever
from bench.statements import execute, rows

DAY = date(2026, 3, 31)
ZONE = "Europe/London"
FAULTS = ("reset_before_accept", "reset_after_accept", "late_answer", "503_not_accepted", "503_accepted", "429")
# A tenth or so of the real times, so that leases end while the test runs; their order is what matters.
LEASE_SECONDS, SLOWEST_ANSWER_SECONDS, TIMEOUT_SECONDS, SETTLE_AFTER_SECONDS = 6.0, 3.0, 2.0, 4.0
# A held email leaves after one minute instead of an hour; SendGrid's ten minutes of notice are nine seconds.
HOLD_MINUTES, NOTICE_SECONDS, CANCEL_NOTICE_SECONDS, FORGET_AFTER_SECONDS = 1, 10.0, 9.0, 5.0
# Small claims, so that there are many to be struck.
EMAILS_A_CLAIM = 40
# Longer than a lease. A sender that wakes after more than the slowest answer and the settling together (80 seconds in
# earnest, 7 here), and was about to write its request, would be too late to be seen: only held mail survives that.
STOP_SECONDS = 6.5
SENDERS = 3
LOOK_EVERY_SECONDS = 0.5
# The days after the measured one bring a few messages each: what the provider's register shows of them proves what it
# does not show.
WITNESS_DAYS, WITNESSES_A_DAY, WITNESS_EVERY_SECONDS = 90, 10, 2.0
OURS = {
    "ours": "ours: claim, fence, evidence",
    "ours email": "ours, email: claim, fence, evidence",
    "ours held email": "ours, email: claim, fence, hold",
}
# So many tell the other designs from ours; more would only take longer.
MOST_COMPARED = 20_000


@dataclass
class Outcome:
    """What one design did to its people."""

    design: str
    messages: int
    blows: Counter[str]
    duplicates: int = 0
    lost: int = 0
    unsettled: int = 0
    reconciled: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """One row of the table."""
        blows = "/".join(str(self.blows[blow]) for blow in ("kill", "stop", "restart"))
        return (
            f"{(OURS | naive_designs.TITLES)[self.design]:<44} {self.messages:>8,} {blows:>18} {sum(self.faults.values()):>7,} "
            f"{self.reconciled:>11,} {self.duplicates:>6,} {self.lost:>6,} {self.unsettled:>10,} {self.seconds:>8.0f}"
        )


@stopping.cleaning_up_when_told_to_end()
def main() -> None:
    """Run ours and the others, print the table and the line for machines."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="lifecycle-chaos-") as folder:
        project.build(Path(folder) / "project")
        os.environ.update(_environment(Path(folder)))
        from lifecycle import embedded_postgres, stack

        # Out of the way of a demo, which may start at the same moment.
        stack.SANDBOX_PORT, embedded_postgres.PREFERRED_PORT = 8525, 54820
        try:
            outcomes = [_measured(_ours(options), options)]
            if options.compare and options.channel == "sms":
                outcomes += [_measured(design, _smaller(options)) for design in naive_designs.DESIGNS]
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
    parser.add_argument("--kills", type=int, default=200, help="kill -9 of a sender")
    parser.add_argument("--stops", type=int, default=15, help="SIGSTOP of a sender, for longer than its lease")
    parser.add_argument("--restarts", type=int, default=0, help="immediate restarts of Postgres")
    parser.add_argument("--fault-rate", type=float, default=0.001, help="of each of the six faults")
    parser.add_argument(
        "--lookup-lag", type=float, default=0, help="seconds until the provider's register shows a message"
    )
    parser.add_argument("--channel", choices=["sms", "email"], default="sms")
    parser.add_argument("--hold", action="store_true", help="hold the emails, so that they can be called back")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compare", dest="compare", action="store_false", help="only ours")
    options = parser.parse_args()
    if options.hold and options.channel == "sms":
        parser.error("--hold is for --channel email: nobody holds an SMS")
    return options


def _ours(options: argparse.Namespace) -> str:
    if options.channel == "sms":
        return "ours"
    return "ours held email" if options.hold else "ours email"


def _smaller(options: argparse.Namespace) -> argparse.Namespace:
    """As many blows for each message, for fewer messages."""
    share = min(1.0, MOST_COMPARED / options.messages)
    counts = {name: round(getattr(options, name) * share) for name in ("messages", "kills", "stops", "restarts")}
    return argparse.Namespace(**{**vars(options), **counts})


def _environment(home: Path) -> dict[str, str]:
    return {
        "LIFECYCLE_HOME": str(home),
        "LIFECYCLE_PROJECT": str(home / "project"),
        "LIFECYCLE_PUBLIC_URL": "http://127.0.0.1:8026",
        "LIFECYCLE_AUDIENCE_CAP": "10000000",
        "LIFECYCLE_DATABASE_URL": "",
    }


# --- the shop ---------------------------------------------------------------------------------------------------------


def _fill(messages: int) -> None:
    """Customers who are due on the day, and a few on each of the days after: the witnesses."""
    from lifecycle import database

    database.migrate()
    execute("fill_shop.sql", messages=messages, days=WITNESS_DAYS, a_day=WITNESSES_A_DAY)


def _plan(design: str, day: date) -> None:
    from lifecycle import stages

    context, step = _context(design, day), _journey(design).steps[0]
    stages.record_conversions(context)
    stages.select_audience(context, step)
    stages.queue_messages(context, step, [])


def _context(design: str, day: date) -> Any:
    from lifecycle import runs

    return runs.for_day(_journey(design), day, ZONE)


@lru_cache(maxsize=1)
def _journey(design: str) -> Any:
    """A letter, or the ladder's first step, declared here: reading the Dag file would load Airflow into every worker."""
    from lifecycle.journey import Journey, Sms, Step

    if design != "ours":
        return project.letter()
    return Journey("reactivation", steps=[Step("survey", segment="silent_30_days.sql", message=Sms("survey"))])


# --- one run ----------------------------------------------------------------------------------------------------------


def _measured(design: str, options: argparse.Namespace) -> Outcome:
    """One design, from a full queue to an empty one."""
    from lifecycle import settings, stack

    url = stack.start_sandbox()
    _call("DELETE", f"{url}/messages.json")
    _call("DELETE", f"{url}/faults")
    lags = dict.fromkeys(("twilio_index_lag_seconds", "sendgrid_index_lag_seconds"), options.lookup_lag)
    _call("PUT", f"{url}/behaviour", {**lags, "cancel_notice_seconds": CANCEL_NOTICE_SECONDS})
    if design in OURS:
        _fill(options.messages)
        _plan(design, DAY)
    else:
        naive_designs.prepare(options.messages)
    faults = [{"fault": fault, "rate": options.fault_rate, "seed": options.seed} for fault in FAULTS]
    _call("PUT", f"{url}/faults", faults)
    started = time.monotonic()
    with _sending(design, settings.home() / "senders.log") as senders:
        blows = _torment(senders, design, options)
    seconds = time.monotonic() - started
    return _counted(Outcome(design, options.messages, blows, seconds=seconds), url)


@contextmanager
def _sending(design: str, log: Path) -> Iterator[Senders]:
    senders = Senders(SENDERS, send_for_ever, design, log)
    try:
        yield senders
    finally:
        senders.end()


def _torment(senders: Senders, design: str, options: argparse.Namespace) -> Counter[str]:
    """Strike senders and Postgres, spread over the whole queue, until everything is decided."""
    chance = random.Random(options.seed)
    blows = ["kill"] * options.kills + ["stop"] * options.stops + ["restart"] * options.restarts
    chance.shuffle(blows)
    every = options.messages / (len(blows) + 1)
    struck: Counter[str] = Counter()
    number_struck = 0
    witnesses = _Witnesses(design)
    deadline = time.monotonic() + 500 + options.messages / 100
    while time.monotonic() < deadline:
        progress = _progress(design)
        due = min(len(blows), int(progress.decided / every))
        for blow in blows[number_struck:due]:
            _strike(senders, blow, chance)
            struck[blow] += 1
        number_struck = max(number_struck, due)
        if not progress.open:
            break
        if design in OURS:
            struck["resume"] += _resume_what_the_breaker_paused()
            if not progress.queued:
                witnesses.come()
        senders.replace_dead()
        time.sleep(LOOK_EVERY_SECONDS)
    return struck


def _strike(senders: Senders, blow: str, chance: random.Random) -> None:
    if blow == "restart":
        _restart_postgres()
        return
    victim = chance.randrange(len(senders))
    if blow == "kill":
        senders.kill(victim)
    else:
        senders.freeze(victim, STOP_SECONDS)
    time.sleep(chance.random() * LOOK_EVERY_SECONDS / 4)
    senders.replace_dead()


def _restart_postgres() -> None:
    """End Postgres as `pg_ctl stop --mode=immediate` does, and start it again: it recovers from its log."""
    from lifecycle import embedded_postgres, processes

    pid = embedded_postgres.pid()
    assert pid
    os.kill(pid, signal.SIGQUIT)
    processes.wait_until(lambda: embedded_postgres.pid() != pid, timeout=30, interval=0.01)
    embedded_postgres.ensure_running()


def _resume_what_the_breaker_paused() -> int:
    """What a person does when a channel was paused for nothing: on a busy machine many answers may come too late."""
    from lifecycle import controls

    paused = controls.paused()
    for scope in paused:
        controls.set_state(scope, "open", "the provider is the sandbox, and it is well")
    return len(paused)


class _Witnesses:
    """The messages of the next days: once the queue of the measured day is empty, one day after the other comes."""

    def __init__(self, design: str) -> None:
        self._design = design
        self._days = iter(range(1, WITNESS_DAYS + 1))
        self._next_at = 0.0

    def come(self) -> None:
        """Plan one more day, unless one came just now."""
        if time.monotonic() < self._next_at:
            return
        day = next(self._days, None)
        if day is not None:
            _plan(self._design, DAY + timedelta(days=day))
        self._next_at = time.monotonic() + WITNESS_EVERY_SECONDS


@dataclass(frozen=True)
class Progress:
    """How many messages are not decided yet, how many of these wait to be sent, and how many are decided."""

    open: int
    queued: int
    decided: int


def _progress(design: str) -> Progress:
    return Progress(*rows("progress.sql" if design in OURS else "naive_progress.sql")[0])


def _counted(outcome: Outcome, url: str) -> Outcome:
    """What the sandbox delivered, beside what there was to deliver."""
    if outcome.design == "ours held email":
        _call("POST", f"{url}/clock", {"advance_seconds": 2 * 60 * HOLD_MINUTES})
    deliveries: dict[str, int] = json.loads(_call("GET", f"{url}/deliveries.json"))
    is_ours = outcome.design in OURS
    ids = {str(row[0]) for row in rows("ids.sql" if is_ours else "naive_ids.sql")}
    outcome.messages = len(ids)
    outcome.duplicates = sum(count > 1 for message, count in deliveries.items() if message in ids)
    outcome.lost = sum(message not in deliveries for message in ids)
    outcome.unsettled = _progress(outcome.design).open + rows("unconfirmed.sql")[0][0] if is_ours else 0
    outcome.reconciled = rows("reconciled.sql")[0][0] if is_ours else 0
    struck = json.loads(_call("GET", f"{url}/faults"))["faults"]
    outcome.faults = {one["fault"]: one["struck"] for one in struck}
    return outcome


def _call(method: str, url: str, body: object = None) -> bytes:
    request = Request(url, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:
        return answer.read()


# --- a sender ---------------------------------------------------------------------------------------------------------


def send_for_ever(design: str) -> None:
    """What a sender does until it is ended."""
    from lifecycle import delivery, evidence, holds, outbox, settings, stages

    channel = _channel(design)
    if design not in OURS:
        for_ever(lambda: naive_designs.send(design, channel))
    outbox.LEASE_SECONDS = LEASE_SECONDS
    delivery.SLOWEST_ANSWER_SECONDS = SLOWEST_ANSWER_SECONDS
    delivery.EMAIL_CHUNK = EMAILS_A_CLAIM
    evidence.SETTLE_AFTER_SECONDS = SETTLE_AFTER_SECONDS
    if design == "ours held email":
        settings.email_hold_minutes = lambda: HOLD_MINUTES
        holds.NOTICE_SECONDS, holds.FORGET_AFTER_SECONDS = NOTICE_SECONDS, FORGET_AFTER_SECONDS
    context, step = _context(design, DAY + timedelta(days=WITNESS_DAYS)), _journey(design).steps[0]
    for_ever(lambda: stages.send(context, step, channel))


def _channel(design: str) -> Any:
    from lifecycle import links, stack
    from lifecycle.channels.accounts import sandbox_accounts
    from lifecycle.channels.sendgrid_email import SendGridEmail
    from lifecycle.channels.twilio_sms import TwilioSms

    accounts = sandbox_accounts(stack.sandbox_url())
    if "email" in design:
        return SendGridEmail(accounts.sendgrid, timeout_seconds=TIMEOUT_SECONDS)
    callback = f"{links.base_url()}/twilio/status"
    return TwilioSms(accounts.twilio, timeout_seconds=TIMEOUT_SECONDS, status_callback=callback)


def _print(outcomes: list[Outcome]) -> None:
    print(
        f"{'design':<44} {'messages':>8} {'kill/stop':>10} {'faults':>7} {'reconciled':>11} "
        f"{'2+':>6} {'never':>6} {'unsettled':>10} {'seconds':>8}"
    )
    for outcome in outcomes:
        print(outcome.line())
    ours = outcomes[0]
    print("faults:", ", ".join(f"{name} {count}" for name, count in ours.faults.items()))
    if ours.blows["resume"]:
        print(f"the breaker paused the channel {ours.blows['resume']} times, and it was resumed")
    print(
        f"chaos: messages={ours.messages} kills={ours.blows['kill']} stops={ours.blows['stop']} "
        f"duplicates={ours.duplicates} lost={ours.lost} unsettled={ours.unsettled} seconds={ours.seconds:.0f}"
    )


if __name__ == "__main__":
    main()
