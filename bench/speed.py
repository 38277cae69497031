"""Measures ours, the loops most people write and django-anymail in one run, and prints ratios.

`python -m bench` takes some minutes on two idle cores and writes `docs/benchmarks.md`; `--only plan --people 100000`
measures one part. Everything lives in a folder of its own and is gone afterwards. The last line is for machines.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

PARTS = ("email", "sms", "plan", "ladder", "memory")


def main() -> None:
    """Measure, print, and fail only if somebody got a message twice or not at all."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="lifecycle-bench-") as folder:
        _prepare(Path(folder))
        from lifecycle import embedded_postgres

        embedded_postgres.ensure_running()
        try:
            if "email" in options.only:
                _email(options)
            if "plan" in options.only:
                _plan(options)
            if "ladder" in options.only:
                _ladder(options)
        finally:
            embedded_postgres.remove()


def _email(options: argparse.Namespace) -> None:
    from bench import project, sending
    from bench.measured import Timing, ratio

    people = options.people or 100_000
    sending.make_queue("letters", people, project.letter())
    shards = sending.shards_for(people)
    with sending.sink() as where:
        for latency in (0, 80):
            ours, naive = Timing("ours", people), Timing("naive email", min(people, 2_000 if not latency else 40))
            phases: dict[str, tuple[float, float]] = {}
            for _ in range(options.runs):
                phases = sending.send(
                    ours,
                    where,
                    "letters",
                    latency_ms=latency,
                    shards=shards,
                    processes=options.processes,
                    profile=options.profile,
                )
                sending.send(naive, where, "letters", latency_ms=latency)
            for timing in (ours, naive):
                print(
                    f"{latency} ms {timing.design:<12} {timing.per_second:10.0f}/s python {timing.python_micros:8.1f} us "
                    f"postgres {timing.postgres_micros:8.1f} us {timing.rss_mb:6.1f} MB"
                )
            print(f"{latency} ms ratio {ratio(ours, naive):.1f}; {shards} shards in {options.processes} processes")
            for name, (wall, cpu) in phases.items():
                print(f"    {name:<70} wall {wall / people * 1e6:8.1f} us cpu {cpu / people * 1e6:8.1f} us")
        print(where.wrong)


def _plan(options: argparse.Namespace) -> None:
    from bench import planning

    found = planning.plan(options.people or 1_000_000, options.runs)
    for timing in (found.audience, found.ours, found.bare, found.again):
        print(
            f"{timing.design:<12} {timing.seconds:8.2f} s {timing.per_second:10.0f} rows/s {timing.postgres_micros:8.1f} us"
        )
    ratios = found.ours.seconds / found.bare.seconds
    print(f"queued {found.queued} skipped {found.skipped} for {found.reasons} reasons")
    print(f"plan_vs_insert={ratios:.2f} replan_inserted={found.replan_inserted}")


def _ladder(options: argparse.Namespace) -> None:
    from bench import planning

    found = planning.ladder_day(options.people or 1_000_000, options.runs)
    print(f"extraction {found.extraction.seconds:.2f} s, whole day {found.whole.seconds:.2f} s, {found.people} people")


def _prepare(folder: Path) -> None:
    """A home and a project of our own, whatever the environment says."""
    from bench import project

    for name in [name for name in os.environ if name.startswith("LIFECYCLE_")]:
        del os.environ[name]
    project.build(folder / "project")
    os.environ |= {
        "LIFECYCLE_HOME": str(folder / "home"),
        "LIFECYCLE_PROJECT": str(folder / "project"),
        "LIFECYCLE_PUBLIC_URL": "https://links.shop.example",
        "NO_PROXY": "127.0.0.1",
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--people", type=int, default=0, help="in every part; default: what the goals ask for")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="sending processes of ours")
    parser.add_argument("--profile", action="store_true", help="also say where the senders spend their time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
