"""The command line `lifecycle`: everything a person does without an Airflow around it.

A user's mistake is one line on standard error and exit code 2. Rows go to standard output, notes to standard error, so
that `--format csv` can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import click

from lifecycle.errors import LifecycleError

FORMATS = click.Choice(["table", "csv", "json"])
PORT = click.IntRange(1, 65_535)


def main() -> None:
    """Run the command line; the exit code is 0, 1 (a check found something) or 2 (a mistake to mend)."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"error: {_in_one_line(error.format_message())}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except LifecycleError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        said = _said_by_postgres(error)
        if said is None:
            raise
        click.echo(f"error: Postgres says: {said}", err=True)
        sys.exit(2)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _said_by_postgres(error: Exception) -> str | None:
    """Postgres' own words about a refused statement, such as a missing right; None for any other error."""
    from psycopg import Error
    from sqlalchemy.exc import DBAPIError

    original = error.orig if isinstance(error, DBAPIError) else error
    return _in_one_line(original.diag.message_primary or str(original)) if isinstance(original, Error) else None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="lifecycle")
def cli() -> None:
    """Customer journeys on your own Postgres, run by Apache Airflow."""


class Day(click.ParamType):
    """A day such as 2026-03-31."""

    name = "DATE"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        """Parse what the user typed."""
        from lifecycle.as_of import parse_day

        return value if isinstance(value, date) else parse_day(value)


def as_of_option(**kwargs: Any) -> Callable[[Any], Any]:
    """The option that says which day a command answers for."""
    return click.option("--as-of", "day", type=Day(), help="Run day, such as 2026-03-31. Default: today.", **kwargs)


def today_option() -> Callable[[Any], Any]:
    """The option that says which day a past run counts as being executed on."""
    words = "The day it counts as being executed on, such as 2026-04-02: shows what is too late. Default: the run day."
    return click.option("--today", "today", type=Day(), help=words)


# --- database ---------------------------------------------------------------------------------------------------------


@cli.group()
def db() -> None:
    """The database: embedded Postgres, or the one LIFECYCLE_DATABASE_URL names."""


@db.command()
def up() -> None:
    """Start the embedded Postgres and bring its schema to the newest version."""
    _migrate()


@db.command("down")
def db_down() -> None:
    """Stop the embedded Postgres."""
    from lifecycle import embedded_postgres

    click.echo("stopped" if embedded_postgres.stop() else "was not running")


@db.command("url")
def db_url() -> None:
    """Print the address that psql and other clients take."""
    from lifecycle import database, embedded_postgres

    click.echo(embedded_postgres.plain_url(database.url()))


@db.command()
def migrate() -> None:
    """Bring the schema to the newest version and re-create the views."""
    _migrate()


def _migrate() -> None:
    from lifecycle import database

    applied = database.migrate()
    click.echo(f"applied {', '.join(applied)}" if applied else f"schema is at {database.migration_names()[-1]}")


@cli.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Empty the imported tables first.")
@click.option("--shift-to-today", is_flag=True, help="Move all times by whole days so that the newest is yesterday.")
def import_command(folder: Path, replace: bool, shift_to_today: bool) -> None:
    """Load a folder of CSV files in the import contract; all or nothing."""
    from lifecycle import csv_import, database

    database.migrate()
    summary = csv_import.import_folder(folder, replace=replace, shift_to_today=shift_to_today)
    for table, count in summary.rows.items():
        if count:
            click.echo(f"{count:>10,}  {table}")
    click.echo(f"{sum(summary.rows.values()):>10,}  rows in {summary.seconds:.1f} s", err=True)
    _import_notes(summary)


def _import_notes(summary: Any) -> None:
    """What a person should know before the first replay."""
    if summary.newest_at:
        click.echo(f"newest fact: {summary.newest_at:%Y-%m-%d %H:%M %Z}", err=True)
    if summary.shifted_days:
        click.echo(f"all times moved by {summary.shifted_days} days", err=True)
    if summary.ignored:
        click.echo(f"not part of the contract, left alone: {', '.join(summary.ignored)}", err=True)


# --- journeys ---------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("step_path", metavar="JOURNEY/STEP")
@as_of_option()
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def audience(step_path: str, day: date | None, form: str) -> None:
    """Show whom a segment picks, before any policy."""
    from lifecycle import database, journeys, runs, segments

    declared, step = journeys.load_step(step_path)
    instant = runs.instant_of(declared.journey, day or _today(declared.zone), declared.zone, _now())
    with database.transaction() as connection:
        database.require_schema(connection)
        database.set_as_of(connection, instant, declared.zone)
        segments.check(connection, declared.journey, step)
        people = list(segments.audience(connection, declared.journey, step))
    extra = sorted({name for person in people for name in person.variables})
    rows = ([*person[:2], *(person.variables.get(name) for name in extra)] for person in people)
    _show(["customer_id", "anchor", *extra], rows, form)
    click.echo(f"{len(people)} people as of {instant:%Y-%m-%d %H:%M %Z}", err=True)


@cli.command()
@click.argument("journey")
@as_of_option()
@today_option()
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def plan(journey: str, day: date | None, today: date | None, form: str) -> None:
    """Show what a run of that day would do, person by person; writes nothing."""
    from lifecycle import journeys, replay

    declared = journeys.load(journey)
    clock = _today(declared.zone)
    rows = replay.plan(_context(declared, day or clock, today, clock, run_type="plan"))
    _show(["customer_id", "step", "anchor", "outcome", "reason"], _plan_rows(rows), form)
    _summary(rows)


def _plan_rows(rows: Iterable[Any]) -> Iterator[list[Any]]:
    for row in rows:
        yield [row.customer_id, row.step, row.anchor, row.outcome, row.reason]


def _summary(rows: Iterable[Any]) -> None:
    from collections import Counter

    counts = Counter((row.step, row.outcome, row.reason) for row in rows)
    for (step, outcome, reason), people in counts.items():
        click.echo(f"{step}: {people} {outcome}{f' ({reason})' if reason else ''}", err=True)


@cli.command("replay")
@click.argument("journey")
@click.option("--from", "first", type=Day(), required=True, help="First run day.")
@click.option("--to", "last", type=Day(), required=True, help="Last run day.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@click.option("--no-policy", is_flag=True, help="Only whom the segments pick.")
@click.option("--summary", "in_short", is_flag=True, help="Per step, instead of person by person.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the volume per day: FILE.png or FILE.html.")
def replay_command(
    journey: str, first: date, last: date, form: str, no_policy: bool, in_short: bool, picture: Path | None
) -> None:
    """Go through the past day by day, sending nothing and writing nothing."""
    from lifecycle import journeys, replay, replay_picture, replay_summary

    if in_short and no_policy:
        raise LifecycleError("--summary says what the policy does", hint="Leave out --no-policy")
    declared = journeys.load(journey)
    drawn = replay_picture.ReplayPicture(declared.journey, first, last, picture) if picture else None
    summary = replay_summary.ReplaySummary(declared.journey) if in_short else None
    rows: Iterator[Any] = (
        replay.without_policy(declared, first, last)
        if no_policy
        else replay.with_policy(declared, first, last, summary=summary)
    )
    if drawn:
        rows = drawn.watching(rows)
    if summary:
        for _ in rows:
            pass
        _show(list(replay_summary.COLUMNS), summary.rows(), form)
    else:
        _show(list(replay.ReplayRow._fields), rows, form)
    if drawn:
        drawn.write()
        click.echo(f"picture: {picture}", err=True)


@cli.command("why")
@click.argument("customer_id", metavar="CUSTOMER")
@click.option("--journey", "journey", help="Only this journey. Default: all of them.")
@click.option("--on", "day", type=Day(), help="Run day. Default: the last one that decided about them, else today.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def why_command(customer_id: str, journey: str | None, day: date | None, form: str) -> None:
    """Show why somebody got a message or did not: every condition of the segments and every rule, with its value."""
    from datetime import datetime, timezone

    from lifecycle import journeys, why

    declared = [journeys.read(name) for name in ([journey] if journey else journeys.names())]
    rows = why.explain(declared, customer_id, day, datetime.now(timezone.utc))
    if form == "json":
        _show(list(why.COLUMNS), (row.values() for row in rows), form)
        return
    for (name, run_day), steps in why.by_step(rows):
        click.echo(f"{name}, run day {run_day}, customer {customer_id}")
        for step, lines in steps:
            click.echo(f"\n{step}" if step else "")
            _show(["", "asked", "answer", "because"], ([row[key] for key in why.COLUMNS[3:]] for row in lines), form)
        click.echo("")


@cli.command()
@click.argument("step_path", metavar="[JOURNEY/STEP]", required=False)
@click.option("--against", "revision", required=True, metavar="GITREV", help="Branch, tag or sha to compare with.")
@as_of_option()
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "markdown"]), default="table", show_default=True
)
def diff(step_path: str | None, revision: str, day: date | None, form: str) -> None:
    """Show whom a changed segment takes in and leaves out on a day; without a step, of every changed segment."""
    from lifecycle import differences

    day = day or _today("UTC")
    if step_path:
        changes = differences.Changes([differences.of_step(step_path, revision, day)], [])
    else:
        changes = differences.of_every_changed_segment(revision, day)
    if form == "markdown":
        click.echo(differences.report(changes, revision, day), nl=False)
        return
    if form == "csv":
        _show(["step", "change", "customer_id"], (row for one in changes.differences for row in one.people()), form)
    else:
        _show_differences([one.summary() for one in changes.differences], form)
    for file in changes.others:
        click.echo(f"changed too, and no segment of a step: {file}", err=True)
    if not changes.differences:
        click.echo("no segment changed", err=True)


def _show_differences(found: list[dict[str, Any]], form: str) -> None:
    columns = ["step", "before", "after", "in", "out", "reanchored", "sms_cents", "sample_in", "sample_out", "overlaps"]
    if form == "json":
        columns += ["file", "run_day", "is_new"]
        _show(columns, ([one[name] for name in columns] for one in found), form)
        return
    for one in found:
        overlaps = [f"{other['step']}: {other['before']} before, {other['after']} after" for other in one["overlaps"]]
        shown = {**one, "overlaps": overlaps}
        values = [", ".join(shown[name]) if isinstance(shown[name], list) else shown[name] for name in columns[1:]]
        _show(["", one["step"]], zip(columns[1:], values, strict=True), form)
        if one["is_new"]:
            click.echo(f"{one['file']} is new, so everybody is in", err=True)


@cli.command("new-journey")
@click.argument("name")
def new_journey(name: str) -> None:
    """Write the first files of a journey: Dag, segment, goal, words, cases; they pass `lifecycle check` at once."""
    from lifecycle import scaffolds

    _list_files(scaffolds.new_journey(name))
    click.echo(f"next: change them to what you mean, then: lifecycle check {name}", err=True)


@cli.command("new-segment")
@click.argument("journey")
@click.argument("name")
def new_segment(journey: str, name: str) -> None:
    """Write a segment for a further step of a journey, with its words and cases."""
    from lifecycle import scaffolds

    _list_files(scaffolds.new_segment(journey, name))
    click.echo(f"next: add to the steps in dags/{journey}.py: {scaffolds.step_of(name)}", err=True)


def _list_files(paths: list[Path]) -> None:
    from lifecycle.errors import shown_path

    for path in paths:
        click.echo(shown_path(path))


@cli.command("run")
@click.argument("journey")
@as_of_option()
@today_option()
@click.option(
    "--approve",
    "approved",
    metavar="STEP=COUNT",
    multiple=True,
    help="Send an unusual audience of exactly so many people.",
)
@click.option("--from", "first", type=Day(), help="Of a loyalty programme: the first day whose facts are accrued.")
@click.option("--to", "last", type=Day(), help="Of a loyalty programme: the last day whose facts are accrued.")
def run_command(
    journey: str,
    day: date | None,
    today: date | None,
    approved: tuple[str, ...],
    first: date | None,
    last: date | None,
) -> None:
    """Run one day without Airflow: the same stages as its tasks, that day played as if it were today.

    To try a journey out on any day; with --today also what happens to a day that is repaired late. To repair a day that
    Airflow missed, use `lifecycle backfill`.
    """
    from lifecycle import approvals, journeys, programmes, settings, stages

    if journey in programmes.names():
        _accrue(journey, day, first, last)
        return
    if first or last:
        hint = f"Run one day with --as-of, or missed ones with: lifecycle backfill {journey}"
        raise LifecycleError(f"--from and --to are for loyalty programmes, and {journey} is none", hint=hint)
    declared = journeys.load(journey)
    counts_approved = approvals.parse(declared.journey, approved)
    clock = _today(declared.zone)
    if settings.is_live() and (day or clock, today or clock) != (clock, clock):
        hint = "Repair a missed day with lifecycle backfill; to try a day out, unset LIFECYCLE_LIVE"
        raise LifecycleError(f"{day} is not today, and real people would be messaged", hint=hint)
    context = _context(declared, day or clock, today, clock)
    # Before any server is started for it: most mistakes show here.
    stages.check_sources(context)
    _ensure_servers()
    done = stages.run_all(context, _channel, counts_approved)
    for step_name, counts in done["steps"].items():
        for outcome, people in sorted(counts.items()):
            click.echo(f"{context.run_day} {step_name}: {people} {outcome}")
    if declared.journey.tick:
        click.echo(f"looked at {context.as_of:%Y-%m-%d %H:%M %Z}{'' if done['steps'] else ': nothing new'}", err=True)
        return
    click.echo(f"{context.run_day} converted: {done['converted']}, ended without a reaction: {done['suppressed']}")


def _accrue(name: str, day: date | None, first: date | None, last: date | None) -> None:
    """Accrue the facts of some days: those from `first` to `last`, or of the day before a run day."""
    from datetime import timedelta

    from lifecycle import loyalty, programmes

    programme = programmes.load(name)
    if (first is None) != (last is None) or (first and day):
        raise LifecycleError("The days to accrue are not clear", hint="Give --from and --to, or --as-of alone")
    today = _today(programme.zone)
    before = (day or today) - timedelta(days=1)
    first, last = first or before, last or before
    if last > today:
        raise LifecycleError(f"{last} has not begun in {programme.zone}", hint=f"Accrue days up to {today}")
    facts = loyalty.accrue(programme, first, last)
    click.echo(f"{first} to {last}: {facts} facts accrued")


@cli.command()
@click.argument("journey")
@click.option("--from", "first", type=Day(), required=True, help="First run day.")
@click.option("--to", "last", type=Day(), required=True, help="Last run day.")
@click.option("--again", is_flag=True, help="Also run days again that ended well; nobody is messaged twice.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what it would do.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def backfill(journey: str, first: date, last: date, again: bool, only_plan: bool, yes: bool) -> None:
    """Repair missed days through Airflow, one at a time: shows what it will do, asks, waits, and says what it did."""
    from lifecycle import backfills, journeys, stack

    declared = journeys.load(journey)
    now = _now()
    days = backfills.days_of(declared, first, last, now)
    if not again:
        done = backfills.done_days(declared, days)
        days = [day for day in days if day not in done]
    if not days:
        click.echo("every one of these days has run already; --again runs them once more", err=True)
        return
    planned = backfills.plan(declared, days, now)
    columns = ["run_day", "send", "late", "superseded", "other skips", "already decided"]
    _show(columns, map(_planned_row, planned), "table")
    sends = sum(day.sends for day in planned)
    if only_plan:
        return
    api = stack.require_airflow().api()
    backfills.require_ready(api, declared)
    if not yes:
        click.confirm(f"Run {len(days)} days of {journey} in Airflow, and send {sends} messages?", abort=True)
    backfills.run(api, declared, days, again=again, watch=_watcher())
    _show_report(journey, days[0], days[-1], "table")


def _planned_row(day: Any) -> list[Any]:
    late, superseded, decided = (day.outcomes[name] for name in ("stale", "superseded", "already_decided"))
    return [day.run_day, day.sends, late, superseded, day.other_skips, decided]


def _watcher() -> Callable[[dict[date, str]], None]:
    """Says on a line of its own what became of each day, as soon as it did."""
    told: dict[date, str] = {}

    def watch(states: dict[date, str]) -> None:
        for day, state in sorted(states.items()):
            if state != told.get(day) and state in ("running", "success", "failed"):
                click.echo(f"{day} {state}", err=True)
            told[day] = state

    return watch


@cli.command("send-deferred")
def send_deferred() -> None:
    """Send what waited for the end of somebody's quiet hours, of all journeys; Airflow does it every 15 minutes."""
    from lifecycle import database, deferred

    with database.transaction() as connection:
        database.require_schema(connection)
    _ensure_servers()
    done = deferred.send(_channel)
    for where, counts in done.items():
        for outcome, people in sorted(counts.items()):
            click.echo(f"{where}: {people} {outcome}")
    if not done:
        click.echo("nothing is due", err=True)


def _context(declared: Any, day: date, today: date | None, clock: date, *, run_type: str = "manual") -> Any:
    from lifecycle import runs

    if today and today < day:
        raise LifecycleError(f"--today {today} lies before --as-of {day}", hint="A day cannot be run before it begins")
    more: dict[str, Any] = {"today": today, "clock": clock, "now": _now()}
    return runs.for_day(declared.journey, day, declared.zone, run_type=run_type, **more)


def _channel(step: Any) -> Any:
    from lifecycle import senders, settings

    if not settings.is_live():
        return senders.sandbox_channel(step)
    from lifecycle import airflow_tasks

    return airflow_tasks.channel_for(step)


def _email_channel() -> Any:
    from lifecycle import senders, settings

    if not settings.is_live():
        return senders.sandbox_email()
    from lifecycle import airflow_tasks

    return senders.live_email(airflow_tasks.sendgrid_account())


def _ensure_servers() -> None:
    """Without a configured sandbox or receiver the ones under LIFECYCLE_HOME are started on demand."""
    from lifecycle import settings, stack

    if not settings.is_live() and not settings.sandbox_url():
        click.echo(f"sandbox inbox: {stack.start_sandbox()}", err=True)
    if not settings.public_url():
        stack.start_receiver()


@cli.command()
@click.argument("step_path", metavar="JOURNEY/STEP")
@click.option("--customer", "customer_id", help="Render for this customer instead of made-up ones.")
@click.option("--open", "open_browser", is_flag=True, help="Open the result in a browser.")
@as_of_option()
def preview(step_path: str, customer_id: str | None, open_browser: bool, day: date | None) -> None:
    """Show the rendered message of a step, its SMS parts and what it costs."""
    from lifecycle import journeys, previews

    declared, step = journeys.load_step(step_path)
    shown = previews.previews(declared, step, day or _today(declared.zone), customer_id)
    for one in shown:
        click.echo(one.text())
    if open_browser:
        click.launch(str(previews.write_page(shown)))


@cli.command()
@click.argument("journey")
@as_of_option()
@click.option("--accept", is_flag=True, help="Say that the sources are right as they are, for this run day.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def sources(journey: str, day: date | None, accept: bool, form: str) -> None:
    """Show the tables a journey reads, how complete they are for a run, and what holds the journey."""
    import getpass

    from lifecycle import database, journeys
    from lifecycle import sources as sources_module

    declared = journeys.load(journey)
    clock = _today(declared.zone)
    context = _context(declared, day or clock, None, clock)
    with database.transaction() as connection:
        database.require_schema(connection)
        found = sources_module.examined(connection, context)
        if accept:
            sources_module.keep(connection, context, found, accepted_by=getpass.getuser())
    rows = [[one.name, one.row_count, one.newest_at, one.moves_daily, one.problem] for one in found]
    _show(["source", "rows", "newest_fact", "moves_daily", "problem"], rows, form)
    if accept:
        click.echo(f"accepted for the run of {context.run_day}", err=True)


@cli.command()
@click.argument("journey", required=False)
def check(journey: str | None) -> None:
    """Check every journey, SQL file, template and source against its contract; exit 1 when something is wrong."""
    from lifecycle import checks

    found = checks.report(journey)
    for problem in found.problems:
        click.echo(str(problem))
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    if found.problems:
        sys.exit(1)
    for label in found.labels:
        click.echo(f"{label.file}: {label.label}{f' ({label.why})' if label.why else ''}")
    click.echo("everything is in order", err=True)


@cli.command()
@click.argument("journey", default="reactivation")
@click.option("--from", "first", type=Day(), help="First run day. Default: 30 days ago.")
@click.option("--to", "last", type=Day(), help="Last run day. Default: today.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@click.option("--problems", "only_problems", is_flag=True, help="Only what waits for a person, of all journeys.")
@click.option("--digest", "only_digest", is_flag=True, help="Only one hash over what was decided for whom.")
def report(
    journey: str, first: date | None, last: date | None, form: str, only_problems: bool, only_digest: bool
) -> None:
    """Show per run day how many were due, sent, skipped by reason, and converted; and what waits for a person."""
    from datetime import timedelta

    from lifecycle import controls, health, journeys, reports

    if only_digest:
        digest, decided = reports.digest(journeys.load(journey).journey.name)
        click.echo(digest)
        click.echo(f"{decided} messages decided", err=True)
        return
    problems = health.problems(_now())
    if only_problems:
        _show(list(reports.Problem._fields), problems, form)
        return
    paused = controls.paused()
    if paused:
        click.echo(f"paused: {', '.join(paused)}; open again with: lifecycle resume", err=True)
    declared = journeys.load(journey)
    last = last or _today(declared.zone)
    _show_report(journey, first or last - timedelta(days=30), last, form)
    for problem in problems:
        since = f"{problem.since:%Y-%m-%d %H:%M %Z}"
        waits = f"{problem.problem}: {problem.where}, {problem.messages} messages, since {since} ({problem.why})"
        click.echo(f"{waits}; see: {problem.look_at}", err=True)


def _show_report(journey: str, first: date, last: date, form: str) -> None:
    from lifecycle import reports

    columns = ["run_day", "due", "sent", "skipped", "waiting", "failed", "unknown", "converted"]
    _show(columns, (_report_row(day) for day in reports.per_day(journey, first, last)), form)


def _report_row(day: Any) -> list[Any]:
    skipped = ", ".join(f"{reason} {people}" for reason, people in sorted(day.skipped.items()))
    return [day.run_day, day.due, day.sent, skipped, day.waiting, day.failed, day.unknown, day.converted]


@cli.command()
@click.argument("step_path", metavar="JOURNEY/STEP")
@click.option("--on", "day", type=Day(), required=True, help="Run day, such as 2026-03-31.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def sent(step_path: str, day: date, form: str) -> None:
    """List everybody who got a step's message of a run day, may have got it, or still waits for it."""
    from lifecycle import journeys, reports

    declared, step = journeys.load_step(step_path)
    people = reports.sent(declared.journey.name, step.name, day)
    _show(list(reports.Sent._fields), people, form)
    click.echo(f"{len(people)} people on {day}", err=True)


@cli.command()
@click.argument("scope", default="all")
@click.option("--reason", default="", help="Why; shown to everybody who asks.")
def pause(scope: str, reason: str) -> None:
    """Stop sending at once: `all`, a channel (email, sms) or a journey; emails that SendGrid holds are called back."""
    from lifecycle import controls, holds

    controls.set_state(scope, "paused", reason)
    click.echo(f"{scope} is paused; messages stay queued until: lifecycle resume {scope}")
    if held := holds.held(scope):
        _call_back(scope, held)


def _call_back(scope: str, held: list[Any]) -> None:
    from lifecycle import holds

    wait = max(row.wait_seconds for row in held)
    under_way = f"; waiting {wait:.0f} s for what is under way" if wait else ""
    click.echo(f"calling back {sum(row.messages for row in held)} held emails{under_way}", err=True)
    why = "SendGrid did not cancel them, or it was too late"
    try:
        click.echo(f"{holds.call_back(scope, _email_channel())} held emails were called back and are queued")
    except LifecycleError as error:
        why = error.what
    if left := holds.held(scope):
        leave = f"{sum(row.messages for row in left)} held emails leave from {left[0].send_at:%Y-%m-%d %H:%M %Z} on"
        raise LifecycleError(f"{leave}: {why}", hint="See docs/runbooks/stop-everything.md")


@cli.command()
@click.argument("scope", default="all")
def resume(scope: str) -> None:
    """Allow sending again; `all` opens everything that is paused."""
    from lifecycle import controls

    controls.set_state(scope, "open", "")
    still = controls.paused()
    click.echo(f"{scope} is open; what is queued leaves with the journey's next run")
    if still:
        click.echo(f"still paused: {', '.join(still)}")


# --- loyalty ----------------------------------------------------------------------------------------------------------


class CustomerFirst(click.Group):
    """A group whose first word is one of its commands, or else the customer that its `show` is about."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; whatever is none is a customer."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


@cli.group(cls=CustomerFirst, subcommand_metavar="CUSTOMER | COMMAND [ARGS]...")
def points() -> None:
    """The points of a customer: balance and entries; or one of the commands below."""


@points.command("show")
@click.argument("customer_id", metavar="CUSTOMER")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def points_show(customer_id: str, form: str) -> None:
    """Show a customer's balance, tier and everything that happened to their points, oldest first."""
    from lifecycle import database, loyalty, tiers

    with database.transaction() as connection:
        database.require_schema(connection)
        lines = loyalty.statement(connection, customer_id)
        status = tiers.of_customer(connection, customer_id, _now())
    balance = lines[-1].balance if lines else 0
    if form == "json":
        entries = [line._asdict() for line in lines]
        tier = status and status._asdict()
        shown = {"customer_id": customer_id, "balance": balance, "tier": tier, "entries": entries}
        click.echo(json.dumps(shown, default=str))
        return
    _show(list(loyalty.StatementLine._fields), lines, form)
    click.echo(f"{customer_id} has {balance} points", err=True)
    if status:
        gives = f": {status.benefits}" if status.benefits else ""
        click.echo(f"{customer_id} is {status.tier} since {status.since.date()}{gives}", err=True)


@points.command("totals")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def points_totals(form: str) -> None:
    """Show what the whole programme gave and took back."""
    from lifecycle import database, loyalty

    with database.transaction() as connection:
        database.require_schema(connection)
        found = loyalty.totals(connection)
    if form == "json":
        click.echo(json.dumps(found._asdict()))
        return
    _show(list(found._fields), [found], form)


@points.command("rebuild")
@click.option("--check", "only_check", is_flag=True, help="Only say what differs; exit 1 when something does.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def points_rebuild(only_check: bool, form: str) -> None:
    """Recompute the ledger from the facts of the days that were accrued, and tiers from it, and correct what differs."""
    from lifecycle import loyalty, programmes

    programme = programmes.only()
    found = loyalty.differences(programme, repair=not only_check)
    if found or form != "table":
        _show(list(loyalty.Difference._fields), found, form)
    said = f"{len(found)} facts {'differ' if only_check else 'corrected'}" if found else "ledger and facts agree"
    click.echo(said, err=True)
    moved = loyalty.misplaced(programme) if only_check else 0
    if moved:
        click.echo(f"{moved} tiers differ from what the ledger tells", err=True)
    if only_check and (found or moved):
        sys.exit(1)


@points.command("redeem")
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("reward")
@click.option("--key", required=True, help="Names this redemption; repeating it gives the same answer.")
def points_redeem(customer_id: str, reward: str, key: str) -> None:
    """Buy a reward with a customer's points."""
    from lifecycle import database, loyalty, programmes

    programme = programmes.only()
    bought = programme.reward(reward)
    with database.transaction() as connection:
        database.require_schema(connection)
        voucher = loyalty.redeem(connection, programme, reward, customer_id, key, _now())
        lines = loyalty.statement(connection, customer_id)
    click.echo(f"{bought.name} for {bought.points} points{f': {voucher.code}' if voucher else ''}")
    click.echo(f"{customer_id} has {lines[-1].balance} points", err=True)


@points.command("adjust", context_settings={"ignore_unknown_options": True})
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("given", metavar="POINTS", type=int)
@click.option("--key", required=True, help="Names this adjustment; repeating it changes nothing.")
@click.option("--why", required=True, help="Kept with it, with your name.")
def points_adjust(customer_id: str, given: int, key: str, why: str) -> None:
    """Give points by hand, or take them with a negative number."""
    import getpass

    from lifecycle import database, loyalty

    who = getpass.getuser()
    with database.transaction() as connection:
        database.require_schema(connection)
        posted = loyalty.adjust(connection, customer_id, given, key=key, who=who, why=why, at=_now())
    click.echo("it is in the ledger already" if posted.is_replay else f"{posted.points} points adjusted")


@cli.group(cls=CustomerFirst, subcommand_metavar="CUSTOMER | COMMAND [ARGS]...")
def referral() -> None:
    """The friends a customer brought, and what they earned by it; or one of the commands below."""


@referral.command("show")
@click.argument("customer_id", metavar="CUSTOMER")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def referral_show(customer_id: str, form: str) -> None:
    """Show a customer's link, friends, credit, cash back and free shipping."""
    from dataclasses import asdict

    from lifecycle import referrals
    from lifecycle.vouchers import money

    found = referrals.account(customer_id, _now())
    if form == "json":
        friends = [friend._asdict() for friend in found.friends]
        click.echo(json.dumps({**asdict(found), "friends": friends}, default=str))
        return
    _show(list(referrals.Friend._fields), found.friends, form)
    owed = ", ".join(money(cents, currency) for currency, cents in found.cash_back.items()) or "none"
    shipping = "free" if found.has_free_shipping else "paid"
    click.echo(f"{found.link}\nconfirmed friends: {found.confirmed}, cash back: {owed}, shipping: {shipping}", err=True)


@referral.command("link")
@click.argument("customer_id", metavar="CUSTOMER")
def referral_link(customer_id: str) -> None:
    """Print the one link that a customer's friends come by."""
    from lifecycle import database, referrals

    with database.transaction() as connection:
        database.require_schema(connection)
        click.echo(referrals.link_of(connection, customer_id))


@referral.command("leaderboard")
@click.option(
    "--most", default=20, show_default=True, type=click.IntRange(1, 10_000), help="So many customers at most."
)
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def referral_leaderboard(most: int, form: str) -> None:
    """Show who brought the most friends that stayed."""
    from lifecycle import referrals

    _show(list(referrals.Standing._fields), referrals.leaderboard(most, _now()), form)


@referral.command("settle")
@click.option(
    "--since", "first", type=Day(), required=True, help="Friends count who were confirmed on this day or later."
)
@click.option("--until", "last", type=Day(), help="The last day that is looked at; yesterday unless you say.")
def referral_settle(first: date, last: date | None) -> None:
    """Give what friends have earned their referrers, and take back what refunds took; without Airflow."""
    from datetime import timedelta

    from lifecycle import as_of, programmes, referrals

    zone = programmes.only().zone
    today = _today(zone)
    last = last or today - timedelta(days=1)
    if last > today:
        raise LifecycleError(f"{last} has not begun in {zone}", hint=f"Settle days up to {today}")
    done = referrals.settle(counted_from=as_of.midnight(first, zone), until=as_of.end_of(last, zone), zone=zone)
    for name, count in done._asdict().items():
        click.echo(f"{name}: {count}")


@cli.group()
def draw() -> None:
    """Lucky draws that nobody can steer and everybody can repeat: open, close, reveal, verify."""


@draw.command("open")
@click.argument("name")
@click.option("--rule", required=True, help="Who takes part: a file in include/sql/draws/, without .sql.")
@click.option("--winners", "winner_count", default=1, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--closes", "day", type=Day(), required=True, help="It closes with the midnight that ends this day.")
def draw_open(name: str, rule: str, winner_count: int, day: date) -> None:
    """Announce a draw, and print the commitment to publish now."""
    from lifecycle import as_of, draws, programmes

    zone = programmes.only().zone
    opened = draws.announce(name, rule=rule, winner_count=winner_count, closes_at=as_of.end_of(day, zone))
    click.echo(f"commitment: {opened.commitment}")
    click.echo(f"publish it before it closes on {opened.closes_at:%Y-%m-%d %H:%M %Z}", err=True)


@draw.command("close")
@click.argument("name")
def draw_close(name: str) -> None:
    """Freeze who takes part; print the list and the digest to publish now."""
    from lifecycle import draws, programmes

    closed, entries = draws.close(name, now=_now(), zone=programmes.only().zone)
    _show(["customer_id", "entries"], entries, "csv")
    click.echo(f"digest of the list: {closed.entries_sha}", err=True)


@draw.command("reveal")
@click.argument("name")
@click.option("--public", "public_word", required=True, help="What nobody could know before, such as lottery numbers.")
def draw_reveal(name: str, public_word: str) -> None:
    """Reveal the seed of a closed draw, and draw its winners."""
    from lifecycle import draws

    revealed = draws.reveal(name, public_word=public_word)
    click.echo(f"seed: {revealed.seed}")
    _show(["place", "customer_id"], enumerate(revealed.winners, start=1), "table")


@draw.command("verify")
@click.argument("name")
def draw_verify(name: str) -> None:
    """Repeat a draw from what was published, and hold it against what is kept."""
    from lifecycle import draws

    verified = draws.verify(name)
    for label in ("commitment", "entries_sha", "seed", "public_word"):
        click.echo(f"{label}: {getattr(verified, label)}")
    click.echo(f"seed, list and {len(verified.winners)} winners agree", err=True)


# --- vouchers ---------------------------------------------------------------------------------------------------------


class Moment(click.ParamType):
    """A time with its offset such as 2026-03-31T12:00:00+01:00."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Parse what the user typed."""
        try:
            return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            hint = "Write it as 2026-03-31T12:00:00+01:00"
            raise LifecycleError(f"{value!r} is no time", hint=hint) from None


@cli.group()
def voucher() -> None:
    """Redeem and look up vouchers, and fill the pools their codes come from."""


@voucher.command("redeem")
@click.argument("code")
@click.option(
    "--order", "order_id", required=True, help="The order it counts for. The same order again: the same answer."
)
@click.option("--at", "at", type=Moment(), help="When it was used, such as 2026-03-31T12:00:00+01:00. Default: now.")
@click.option("--customer", "customer_id", help="Refuse it when it was given to somebody else.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def voucher_redeem(code: str, order_id: str, at: datetime | None, customer_id: str | None, form: str) -> None:
    """Use a voucher for an order; exit code 1 says that it was refused, and the outcome why."""
    from dataclasses import asdict

    from lifecycle import database, vouchers

    with database.transaction() as connection:
        database.require_schema(connection)
        answer = vouchers.redeem(connection, code, order_id=order_id, at=at, customer_id=customer_id)
    said = asdict(answer)
    if form == "table":
        _show_table(["what", "value"], ([name, value] for name, value in said.items() if value is not None))
    else:
        _show(list(said), [list(said.values())], form)
    click.echo(f"{answer.says}.", err=True)
    if not answer.is_redeemed:
        sys.exit(1)


@voucher.command("show")
@click.argument("code")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def voucher_show(code: str, form: str) -> None:
    """Show what a code gives, whose it is, and its state: reserved, issued, redeemed, expired or released."""
    from lifecycle import database, vouchers

    with database.transaction() as connection:
        database.require_schema(connection)
        found = vouchers.show(connection, code)
    if form == "table":
        _show_table(["what", "value"], found.items())
    else:
        _show(list(found), [list(found.values())], form)


@voucher.group("pool")
def voucher_pool() -> None:
    """Fill pools with codes of the shop system, and see how long they last."""


@voucher_pool.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def voucher_pool_import(name: str, file: Path) -> None:
    """Add the codes of a CSV file (column code) to a pool, all of them or none."""
    from lifecycle import voucher_pools

    click.echo(f"imported {voucher_pools.import_codes(name, file)} codes into {name}")


@voucher_pool.command("list")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
def voucher_pool_list(form: str) -> None:
    """List the pools: how many codes are left, and for how many days at the pace of the last 14."""
    from lifecycle import voucher_pools

    columns = ["pool", "imported", "left", "given_lately", "days_left", "since"]
    pools = voucher_pools.listed(_now())
    _show(columns, ([getattr(pool, name) for name in columns] for pool in pools), form)


# --- servers ----------------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--port", default=8025, show_default=True, type=PORT)
@click.option("--host", default="127.0.0.1", show_default=True)
def sandbox(port: int, host: str) -> None:
    """Run the local stand-in for SendGrid and Twilio, with its inbox page."""
    from lifecycle.sandbox.app import serve

    serve(port, host)


@cli.command()
@click.option("--port", default=8026, show_default=True, type=PORT)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--insecure", is_flag=True, help="Take unsigned webhooks while no key is set; on loopback only.")
def receiver(port: int, host: str, insecure: bool) -> None:
    """Run the public web app: links, landing pages, unsubscribe, and the providers' webhooks."""
    from lifecycle.receiver.app import serve

    serve(port, host, insecure=insecure)


@cli.command()
@click.option("--data", "folder", type=click.Path(path_type=Path), help="A folder in the import contract.")
@click.option("--shift-to-today", is_flag=True, help="Move all times by whole days so that the newest is yesterday.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 60), help="How many days to run.")
def demo(folder: Path | None, shift_to_today: bool, days: int) -> None:
    """Load a shop, start everything, run the ladder for its last days in Airflow and show what happened."""
    from lifecycle import demo as demo_module

    demo_module.run(folder, shift_to_today=shift_to_today, days=days)


@cli.command()
def down() -> None:
    """Stop everything that was started here: Airflow, sandbox, receiver, embedded Postgres."""
    from lifecycle import stack

    stopped = stack.stop_all()
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


# --- output -----------------------------------------------------------------------------------------------------------


def _today(zone: str) -> date:
    from lifecycle.as_of import run_day

    return run_day(_now(), zone)


def _now() -> datetime:
    """The one place where the clock is read: the edge."""
    return datetime.now(timezone.utc)


def _show(columns: list[str], rows: Iterable[Iterable[Any]], form: str) -> None:
    if form == "csv":
        from lifecycle import csv_output

        csv_output.write(sys.stdout, columns, rows)
    elif form == "json":
        _show_json(columns, rows)
    else:
        _show_table(columns, rows)


def _show_json(columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """One JSON array, written row by row so that a long replay needs no memory."""
    before = "["
    for row in rows:
        click.echo(before + json.dumps(dict(zip(columns, row, strict=True)), default=str, ensure_ascii=False), nl=False)
        before = ",\n "
    click.echo("[]" if before == "[" else "]")


def _show_table(columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        # As Text, because a customer's id may hold brackets, and those are markup otherwise.
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    Console().print(table)


if __name__ == "__main__":
    main()
