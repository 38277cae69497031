"""The demo: a shop, the whole stack, and the last days of the ladder run by a real Airflow."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lifecycle import (
    as_of,
    backfills,
    csv_import,
    database,
    demo_shop,
    journeys,
    links,
    reports,
    schedules,
    settings,
    stack,
)
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from lifecycle.airflow_api import AirflowApi
    from lifecycle.journeys import Declared
    from lifecycle.stack import AirflowAddress

JOURNEY = "reactivation"


def run(folder: Path | None, *, shift_to_today: bool, days: int) -> None:
    """Load the data, start everything, run the ladder for its last days in Airflow, and show what happened.

    `folder` holds data in the import contract; without it a made-up shop is used. What was started keeps running until
    `lifecycle down`; Ctrl-C while the demo works stops all of it.

    Raises:
        LifecycleError: the data is wrong, a process does not start, or a run of Airflow failed.
    """
    console = Console(highlight=False)
    # Set, not inherited: a shell starts background jobs with Ctrl-C ignored, and TERM would leave everything running.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        _run(console, folder, shift_to_today=shift_to_today, days=days)
    except KeyboardInterrupt:
        console.print("Stopping everything that was started ...")
        stack.stop_all()
        raise


def _run(console: Console, folder: Path | None, *, shift_to_today: bool, days: int) -> None:
    now = datetime.now(timezone.utc)
    say = console.print
    with _step(console, "Starting Postgres"):
        database.migrate()
    with _step(console, "Starting sandbox and receiver"):
        stack.start_sandbox(say)
        stack.start_receiver(say)
    with _step(console, "Starting Airflow's four processes"):
        launch = stack.launch_airflow(say=say)
    with _step(console, "Loading the shop"):
        is_new = _load(folder, shift_to_today=shift_to_today, today=now.date())
    declared = journeys.load(JOURNEY)
    with _step(console, "Waiting until Airflow is healthy and has read the Dag"):
        address = launch.wait()
        api = address.api()
        api.wait_for_dag(JOURNEY)
        api.unpause(JOURNEY)
    first, last = last_run_days(declared, now, days)
    _backfill(console, api, declared, first, last, is_new=is_new)
    _print_table(console, first, last)
    _print_addresses(console, address)


def last_run_days(declared: Declared, now: datetime, days: int) -> tuple[date, date]:
    """The last days whose hour of the schedule has come."""
    last = schedules.last_run_day(declared.journey.cron, declared.zone, now)
    return last - timedelta(days=days - 1), last


# --- data -------------------------------------------------------------------------------------------------------------


def _load(folder: Path | None, *, shift_to_today: bool, today: date) -> bool:
    """Load the data set unless it is loaded already; says whether it was."""
    wanted = _fingerprint(folder, shift_to_today, today)
    with database.transaction() as connection:
        found = database.rows(connection, "engine/demo/state.sql")[0]
    if found.fingerprint == wanted:
        return False
    if found.has_data and not found.fingerprint:
        raise LifecycleError(
            "The database holds data that the demo did not load",
            hint="Unset LIFECYCLE_DATABASE_URL or set LIFECYCLE_HOME to a new folder; the demo never empties your data",
        )
    source = folder or _made_up_shop(today)
    with database.transaction() as connection:
        database.run(connection, "engine/demo/forget.sql")
    csv_import.import_folder(source, replace=True, shift_to_today=shift_to_today, today=today)
    with database.transaction() as connection:
        database.run(connection, "engine/demo/remember.sql", fingerprint=wanted)
    return True


def _fingerprint(folder: Path | None, shift_to_today: bool, today: date) -> str:
    if folder is None:
        return f"made-up shop of {today}"
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return f"{folder.resolve()} {digest.hexdigest()[:16]}{f' moved to {today}' if shift_to_today else ''}"


def _made_up_shop(today: date) -> Path:
    folder = settings.home() / "demo_shop" / str(today)
    if not (folder / "customers.csv").is_file():
        demo_shop.write_demo_shop(folder, today=today)
    return folder


# --- Airflow ----------------------------------------------------------------------------------------------------------


def _backfill(console: Console, api: AirflowApi, declared: Declared, first: date, last: date, *, is_new: bool) -> None:
    """Run the days in Airflow, with their progress; days that ran with another data set run again.

    Each is played as if it were today: a demo of seven days is no repair of six missed ones.
    """
    days = as_of.days_between(first, last)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        conf = {"as_if_today": True}
        backfills.run(api, declared, days, again=is_new, conf=conf, watch=lambda states: live.update(_progress(states)))


def _progress(states: dict[date, str]) -> Text:
    ended = sum(state in backfills.ENDED for state in states.values())
    line = Text(f"Running {len(states)} days in Airflow: {ended} done ")
    for day, state in sorted(states.items()):
        style = {"success": "green", "failed": "red", "running": "yellow"}.get(state, "dim")
        line.append(f" {day:%d %b}", style)
    return line


# --- what is shown ----------------------------------------------------------------------------------------------------


@contextmanager
def _step(console: Console, label: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(label):
        yield
    console.print(f"{label}: {time.monotonic() - started:.0f} s")


def _print_table(console: Console, first: date, last: date) -> None:
    found = reports.per_day(JOURNEY, first, last)
    # Columns of a day that went well everywhere only take room.
    unusual = [name for name in ("waiting", "failed", "unknown") if any(getattr(day, name) for day in found)]
    table = Table(title=f"The {JOURNEY} ladder, run by Airflow", title_justify="left", title_style="bold")
    for name in ("run day", "due", "sent", "skipped", "by reason", *unusual, "converted"):
        table.add_column(name, justify="left" if name in ("run day", "by reason") else "right", overflow="fold")
    for day in found:
        reasons = "\n".join(f"{reason} {people}" for reason, people in sorted(day.skipped.items()))
        numbers = [str(day.due), str(day.sent), str(day.skipped.total())]
        more = [str(getattr(day, name)) for name in unusual]
        table.add_row(str(day.run_day), *numbers, reasons, *more, str(day.converted))
    console.print()
    console.print(table)


def _print_addresses(console: Console, address: AirflowAddress) -> None:
    console.print(f"Airflow        {address.url}  (login {address.username} / {address.password})")
    console.print(f"Sandbox inbox  {stack.sandbox_url()}")
    console.print(f"Landing page   {_sample_landing_page() or 'none: no message was sent in these days'}")
    console.print("Look closer    .venv/bin/lifecycle report reactivation, or lifecycle --help")
    console.print("Everything keeps running; stop it with: make down (or bin/down)")


def _sample_landing_page() -> str:
    with database.transaction() as connection:
        found = database.rows(connection, "engine/reports/sample_link.sql", journey=JOURNEY)
    return f"{links.base_url()}/l/{found[0].code}" if found else ""
