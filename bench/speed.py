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
            if "plan" in options.only:
                _plan(options)
            if "ladder" in options.only:
                _ladder(options)
        finally:
            embedded_postgres.remove()


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
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--people", type=int, default=0, help="in every part; default: what the goals ask for")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
