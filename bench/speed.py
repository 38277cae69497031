"""Measures ours, the loops most people write and django-anymail in one run, and prints ratios.

`python -m bench` takes some minutes on two idle cores and writes `docs/benchmarks.md`; `--only plan --people 100000`
measures one part. Everything lives in a folder of its own and is gone afterwards. The last line is for machines. A goal
that was missed is printed as such; only a message that was sent twice or not at all makes the run fail.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import checking, goals, page, planning, project, sending, stopping
from bench.measured import Timing, processor_share, ratio
from bench.profile import Spent
from bench.sending import Sink

# How long the processors are watched before and after everything.
WATCHED_SECONDS = 3


class Sizes:
    """How many people each part is measured with."""

    def __init__(self, people: int, *, is_quick: bool) -> None:
        self.email = people or (600 if is_quick else 100_000)
        self.naive = {0: min(self.email, 50 if is_quick else 2_000), 80: min(self.email, 3 if is_quick else 40)}
        self.anymail = min(self.email, 20_000)
        self.sms = {0: people or (100 if is_quick else 10_000), 80: people or (50 if is_quick else 3_000)}
        self.plan = people or (500 if is_quick else 1_000_000)
        self.ladder = people or (1_000 if is_quick else 1_000_000)
        self.buyers = people or (500 if is_quick else 100_000)
        self.memory = [people] if people else [600] if is_quick else [10_000, 100_000, 1_000_000]


class Bench:
    """One run: what was measured so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sizes = Sizes(options.people, is_quick=options.quick)
        self.runs = 1 if options.quick else options.runs
        self.measured: dict[str, float] = {}
        self.sections: list[page.Section] = []
        self.phases: dict[str, Spent] = {}
        self.wrong: list[str] = []
        self.started = time.monotonic()

    def run(self) -> None:
        """Every part that was asked for."""
        for part in self.options.only:
            PARTS[part](self)

    def add(self, section: page.Section) -> None:
        """Show a section as soon as it is measured."""
        self.sections.append(section)
        print("\n".join(section.as_text()), flush=True)

    def email(self) -> None:
        """Ours, the loop and django-anymail, with a provider that answers at once, and one that takes its time."""
        people = self.sizes.email
        shards = sending.shards_for(people)
        sending.make_queue("letters", people, project.letter())
        with sending.sink() as where:
            for latency in (0, 80):
                ours, naive = Timing("ours", people), Timing("naive email", self.sizes.naive[latency])
                anymail = Timing("anymail", self.sizes.anymail)
                for _ in range(self.runs):
                    self._ours(ours, where, "letters", latency, shards=shards)
                    for other in (naive, anymail):
                        sending.send(other, where, "letters", latency_ms=latency)
                self.measured[f"email_vs_naive_{latency}ms"] = ratio(ours, naive)
                if not latency:
                    self.measured["email_per_s"] = ours.per_second
                title = f"Email, {people:,} people, provider answers after {latency} ms"
                self.add(page.Section.of_senders(title, [ours, naive, anymail]))
            if self.options.profile or self.options.is_whole:
                once = Timing("ours", people)
                self.phases = self._ours(once, where, "letters", 0, shards=shards, profile=True)
                print("\n".join(page.phases(self.phases, people)), flush=True)
            self.wrong += where.wrong

    def sms(self) -> None:
        """Ours, the bare SDK in as many threads, and the loop with a provider that takes its time."""
        threads = sending.sms_threads()
        for latency, people in self.sizes.sms.items():
            source = f"notes_{latency}"
            sending.make_queue(source, people, project.note())
            naive = Timing("naive sms", self.sizes.naive[latency] if latency else min(people, self.sizes.naive[0]))
            ours, bare = Timing("ours", people), Timing("twilio sdk", people)
            with sending.sink() as where:
                for _ in range(self.runs):
                    self._ours(ours, where, source, latency, channel="sms", shards=1)
                    for other in (bare, naive):
                        sending.send(other, where, source, latency_ms=latency, channel="sms", threads=threads)
                self.wrong += where.wrong
            if latency:
                self.measured["sms_vs_naive_80ms"] = ratio(ours, naive)
            else:
                self.measured["sms_vs_sdk"] = ratio(ours, bare)
            title = f"SMS, {people:,} people, {threads} threads, provider answers after {latency} ms"
            self.add(page.Section.of_senders(title, [ours, bare, naive]))

    def plan(self) -> None:
        """Planning for everybody with every rule."""
        found = planning.plan(self.sizes.plan, self.runs)
        self.measured["plan_vs_insert"] = 1 / ratio(found.ours, found.bare)
        self.measured["replan_inserted"] = found.replan_inserted
        section = page.Section.of_planning(
            f"Planning for {self.sizes.plan:,} people",
            [found.ours, found.bare, found.keyed, found.audience, found.again],
        )
        section.note = (
            f"{found.queued:,} were queued and {found.skipped:,} skipped for {found.reasons} different reasons. "
            f"It takes {1 / ratio(found.ours, found.keyed):.1f} times as long as its rows alone take a table with the "
            "keys and indexes of ours."
        )
        self.add(section)

    def ladder(self) -> None:
        """A day of the reactivation ladder in a large shop."""
        found = planning.ladder_day(self.sizes.ladder, self.runs)
        self.measured["ladder_day_1m_s"] = found.whole.seconds
        customers, orders = self.sizes.ladder, 5 * self.sizes.ladder
        section = page.Section.of_planning(
            f"A day of the ladder, {customers:,} customers, {orders:,} orders", [found.extraction, found.whole]
        )
        section.note = f"{found.people:,} people were due in its three steps on the last of the days."
        self.add(section)

    def recommendations(self) -> None:
        """What to recommend to the buyers of one day, and what others say."""
        found = planning.recommend(self.sizes.buyers, self.runs)
        self.measured["recommendations_100k_s"] = found.seconds
        buyers = self.sizes.buyers
        title = f"Recommendations for {buyers:,} buyers, {10 * buyers:,} orders, {30 * buyers:,} lines"
        section = page.Section.of_planning(title, [found.people, *found.files.values(), found.listed])
        section.note = f"{found.items:,} products and reviews were found."
        self.add(section)

    def check(self) -> None:
        """What `lifecycle check` asks of every file that ships."""
        found = checking.check(self.runs)
        self.measured["check_s"] = found.seconds
        self.add(page.Section.of_planning("Checking the repository", [found]))

    def memory(self) -> None:
        """The most memory a sending process of ours has, whatever the number of people."""
        timings = []
        for people in self.sizes.memory:
            source = f"crowd_{people}"
            sending.make_queue(source, people, project.letter(), with_history=False)
            timings.append(Timing("ours", people))
            with sending.sink() as where:
                self._ours(timings[-1], where, source, 0, shards=sending.shards_for(people))
                self.wrong += where.wrong
        self.measured["rss_mb"] = max(timing.rss_mb for timing in timings)
        self.add(page.Section.of_senders("Memory of a sending process", timings, is_compared=False))

    def _ours(
        self, timing: Timing, where: Sink, source: str, latency: int, *, shards: int, **more: Any
    ) -> dict[str, Spent]:
        processes = self.options.processes
        return sending.send(timing, where, source, latency_ms=latency, shards=shards, processes=processes, **more)


PARTS: dict[str, Callable[[Bench], None]] = {
    "email": Bench.email,
    "sms": Bench.sms,
    "plan": Bench.plan,
    "ladder": Bench.ladder,
    "recommendations": Bench.recommendations,
    "check": Bench.check,
    "memory": Bench.memory,
}


@stopping.cleaning_up_when_told_to_end()
def main() -> None:
    """Measure, print, and fail only if somebody got a message twice or not at all."""
    options = _options()
    bench = Bench(options)
    busy = f"Load of the machine when the run began: {os.getloadavg()[0]:.1f}"
    given = [processor_share(WATCHED_SECONDS)]
    print(f"{busy}; it gives {given[0]:.0%} of its processors", flush=True)
    with tempfile.TemporaryDirectory(prefix="lifecycle-bench-") as folder:
        _prepare(Path(folder))
        from lifecycle import embedded_postgres

        try:
            embedded_postgres.ensure_running()
            bench.run()
            given.append(processor_share(WATCHED_SECONDS))
            facts = [busy, page.processors(*given), *page.facts(sending.ceilings())]
        finally:
            embedded_postgres.remove()
    seconds = time.monotonic() - bench.started
    if options.page:
        text = page.text(bench.sections, bench.measured, bench.phases, bench.sizes.email, facts, seconds)
        options.page.write_text(text, encoding="utf-8")
    _print(bench, facts)
    if bench.wrong:
        sys.exit(1)


def _print(bench: Bench, facts: list[str]) -> None:
    print("\n".join(["", *facts, ""]))
    print(f"{'goal':<72} {'wanted':>10} {'measured':>10} held")
    for words, wanted, measured, held in goals.table(bench.measured):
        print(f"{words:<72} {wanted:>10} {measured:>10} {held}")
    for what in bench.wrong:
        print(f"WRONG: {what}")
    print(goals.last_line(bench.measured))


def _prepare(folder: Path) -> None:
    """A home and a project of our own, whatever the environment says."""
    for name in [name for name in os.environ if name.startswith("LIFECYCLE_")]:
        del os.environ[name]
    project.build(folder / "project")
    os.environ |= {
        "LIFECYCLE_HOME": str(folder / "home"),
        "LIFECYCLE_PROJECT": str(folder / "project"),
        "LIFECYCLE_PUBLIC_URL": "https://links.shop.example",
        "LIFECYCLE_AUDIENCE_CAP": "10000000",
        "NO_PROXY": "127.0.0.1",
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--people", type=int, default=0, help="in every part; default: what the goals ask for")
    parser.add_argument("--runs", type=int, default=3, help="medians are taken of so many")
    parser.add_argument("--processes", type=int, default=sending.PROCESSES, help="sending processes of ours")
    parser.add_argument("--profile", action="store_true", help="also say where the senders spend their time")
    parser.add_argument("--quick", action="store_true", help="a few people, one run: that it works, not how fast")
    parser.add_argument("--page", type=Path, help="where the page is written; a whole run writes docs/benchmarks.md")
    options = parser.parse_args()
    options.is_whole = not (options.only or options.people or options.quick)
    options.only = options.only or list(PARTS)
    if options.is_whole and not options.page:
        options.page = project.CHECKOUT / "docs" / "benchmarks.md"
    return options
