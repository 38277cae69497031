"""What a run says: tables in the terminal, and the page `docs/benchmarks.md`."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from bench import databases, goals, sending
from bench.measured import Timing
from bench.profile import Spent

_PACKAGES = ("sendgrid", "twilio", "django-anymail", "Django", "SQLAlchemy", "psycopg", "Jinja2", "requests")
_TITLES = {
    "ours": "ours: claim, render, send, record",
    "naive email": "loop: one `Mail` each, Jinja, a commit each",
    "anymail": "django-anymail, `merge_data`, 500 a call, records nothing",
    "naive sms": "loop: `messages.create`, Jinja, a commit each",
    "twilio sdk": "bare Twilio SDK in as many threads, records nothing",
}


@dataclass
class Section:
    """A table under its title."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    @classmethod
    def of_senders(cls, title: str, timings: list[Timing], *, is_compared: bool = True) -> Section:
        """Designs that send, one a row, ours first."""
        columns = ["", "people", "messages/s", "Python CPU us each", "Postgres CPU us each", "sink CPU us each", "MB"]
        ours, *others = timings
        shares = [f"{other.design} {other.all_micros / ours.all_micros:.1f}" for other in others]
        note = f"Processor time of all, times ours: {'; '.join(shares)}." if is_compared else ""
        return cls(title, columns, [_sender(timing) for timing in timings], note)

    @classmethod
    def of_planning(cls, title: str, timings: list[Timing]) -> Section:
        """Statements that plan, one a row."""
        columns = ["", "seconds", "Python CPU s", "Postgres CPU s"]
        rows = [
            [
                timing.design,
                f"{timing.seconds:.2f}",
                f"{timing.python_micros * timing.count / 1e6:.2f}",
                f"{timing.postgres_micros * timing.count / 1e6:.2f}",
            ]
            for timing in timings
        ]
        return cls(title, columns, rows)

    def as_text(self) -> list[str]:
        """For a terminal."""
        widths = [max(len(row[index]) for row in [self.columns, *self.rows]) for index in range(len(self.columns))]
        lines = ["", self.title]
        for row in [self.columns, *self.rows]:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            lines.append("  ".join(cells))
        return [*lines, self.note] if self.note else lines

    def as_markdown(self) -> list[str]:
        """For the page."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows)]
        return [f"### {self.title}", "", *lines, "", *([self.note, ""] if self.note else [])]


def _sender(timing: Timing) -> list[str]:
    return [
        _TITLES[timing.design],
        f"{timing.count:,}",
        f"{timing.per_second:,.0f}",
        f"{timing.python_micros:,.0f}",
        f"{timing.postgres_micros:,.0f}",
        f"{timing.sink_micros:,.0f}",
        f"{timing.rss_mb:.0f}",
    ]


def phases(found: dict[str, Spent], people: int) -> list[str]:
    """Where the senders spent their time, per message."""
    lines = ["", f"{'phase of ours, us per message':<66} {'waited':>8} {'CPU':>8} {'Postgres CPU':>14}"]
    for name, spent in found.items():
        waited, cpu, server = (seconds / people * 1e6 for seconds in spent)
        lines.append(f"{name:<66} {waited:8.1f} {cpu:8.1f} {server:14.1f}")
    return lines


def processors(before: float, after: float) -> str:
    """What the machine gave of its processors; where that is little, seconds and CPU are too long and ratios still hold."""
    return (
        f"The machine gave {before:.0%} of its processors before the run and {after:.0%} after it. What it keeps back "
        "makes seconds and CPU longer; ratios stay what they are"
    )


def facts(ceilings: list[str]) -> list[str]:
    """The machine, the versions, and what the sink can take."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.system()}",
        f"Python {platform.python_version()}, Postgres {databases.postgres_version()} as the product sets it up, {packages}",
        *ceilings,
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def text(
    sections: list[Section],
    measured: dict[str, float],
    phases_found: dict[str, Spent],
    people: int,
    facts_found: list[str],
    seconds: float,
) -> str:
    """The whole page."""
    template = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    rows = [f"| {' | '.join(row)} |" for row in goals.table(measured)]
    parts = {
        "day": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "minutes": f"{seconds / 60:.0f}",
        "goals": "\n".join(["| goal | wanted | measured | held |", "| --- | ---: | ---: | --- |", *rows]),
        "last_line": goals.last_line(measured),
        "facts": "\n".join(f"- {fact}" for fact in facts_found),
        "sections": "\n".join(line for section in sections for line in section.as_markdown()).strip(),
        "phases": "\n".join(phases(phases_found, people)).strip(),
        "shards": str(sending.shards_for(people)),
        "processes": str(sending.PROCESSES),
    }
    for name, value in parts.items():
        template = template.replace(f"{{{name}}}", value)
    return template
