"""Planning: a day's messages for everybody, with every rule, against a bare INSERT ... SELECT of the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bench import databases, project
from bench.measured import Timing, Usage, measured

PLAN, INSERT = "planning, every rule", "bare INSERT ... SELECT"
KEYED = "the same into a table with the keys and indexes of ours"
AUDIENCE, AGAIN = "selecting the audience before it", "planning again"
FOUND, LISTED = "finding its people", "finding them, and what to recommend to them, as a run does"
EXTRACTION, WHOLE_DAY = "finding its people", "the day up to the queue"

_DECIDED = """
select
    count(*) filter (where send_state = 'queued'),
    count(*) filter (where send_state = 'skipped'),
    count(distinct reason)
from lifecycle.messages
where journey = 'letter'
"""
_STAGED = "create table public.staged as select * from lifecycle.messages where journey = 'letter'"
_BARE = "create table public.bare (like public.staged)"
_INSERT = "insert into public.bare select * from public.staged"
_LIKE_OURS = "create table public.keyed (like lifecycle.messages including all)"
_COLUMNS = """
select string_agg(quote_ident(attname), ', ' order by attnum)
from pg_attribute
where attrelid = 'lifecycle.messages'::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""
# In the order of the primary key, as a plan does.
_KEYED_INSERT = "insert into public.keyed ({columns}) select {columns} from public.staged order by message_id"


@dataclass
class Planned:
    """Planning, two bare inserts beside it, and what planning again added."""

    ours: Timing
    bare: Timing
    keyed: Timing
    audience: Timing
    again: Timing
    replan_inserted: int = 0
    queued: int = 0
    skipped: int = 0
    reasons: int = 0


def plan(people: int, runs: int) -> Planned:
    """Plan an email to everybody, in a shop where every rule has something to forbid."""
    from lifecycle import stages

    databases.make("people", "people.sql", people=people, refusals=1, history=1)
    journey = project.letter(holdout_percent=5)
    context, step = project.context(journey), journey.steps[0]
    postgres = databases.postgres_pid()
    ours, bare, keyed, audience, again = (Timing(what, people) for what in (PLAN, INSERT, KEYED, AUDIENCE, AGAIN))
    found = Planned(ours, bare, keyed, audience, again)
    for _ in range(runs):
        with databases.copy_of("people") as copy:
            stages.record_conversions(context)
            with measured(postgres) as usage:
                stages.select_audience(context, step)
            found.audience.runs.append(usage)
            databases.settle_down(copy)
            with measured(postgres) as usage:
                stages.queue_messages(context, step, [])
            found.ours.runs.append(usage)
            found.queued, found.skipped, found.reasons = databases.query(copy, _DECIDED)
            with measured(postgres) as usage:
                stages.queue_messages(context, step, [])
            found.again.runs.append(usage)
            rows = sum(databases.query(copy, _DECIDED)[:2])
            found.replan_inserted = max(found.replan_inserted, rows - found.queued - found.skipped)
            databases.execute(copy, _STAGED)
            found.bare.runs.append(_inserted(copy, postgres, _BARE, _INSERT))
            keyed_insert = _KEYED_INSERT.format(columns=databases.query(copy, _COLUMNS)[0])
            found.keyed.runs.append(_inserted(copy, postgres, _LIKE_OURS, keyed_insert))
    return found


def _inserted(copy: str, postgres: int, table: str, insert: str) -> Usage:
    """The same rows with the same columns into an empty table."""
    databases.execute(copy, table)
    databases.settle_down(copy)
    with measured(postgres) as usage:
        databases.execute(copy, insert)
    return usage


@dataclass
class LadderDay:
    """One day of the ladder: finding its people, and the whole day up to the queue."""

    extraction: Timing
    whole: Timing
    people: int


def ladder_day(customers: int, runs: int) -> LadderDay:
    """A day of the ladder's three segments, on as many customers with five orders each; another day in each run."""
    from lifecycle import database, segments, stages

    databases.make("orders", "orders.sql", people=customers)
    journey = project.ladder()
    postgres = databases.postgres_pid()
    found = LadderDay(Timing(EXTRACTION, 1), Timing(WHOLE_DAY, 1), 0)
    with databases.in_use("orders"):
        for number in range(runs):
            context = project.context(journey, project.DAY + timedelta(days=number))
            with database.transaction() as connection, measured(postgres) as usage:
                database.set_as_of(connection, context.as_of, context.zone)
                for step in journey.steps:
                    for _ in segments.audience(connection, journey, step):
                        pass
            found.extraction.runs.append(usage)
            with measured(postgres) as usage:
                converted = stages.record_conversions(context)["customer_ids"]
                found.people = 0
                for step in journey.steps:
                    found.people += stages.select_audience(context, step)
                    stages.queue_messages(context, step, converted)
            found.whole.runs.append(usage)
    databases.drop("orders")
    return found


@dataclass
class Recommended:
    """Finding the people of a step, asking each recommendation file for all of them, and the whole way to their lists."""

    people: Timing
    files: dict[str, Timing]
    listed: Timing
    items: int = 0

    @property
    def seconds(self) -> float:
        """How long all files took."""
        return sum(timing.seconds for timing in self.files.values())


def recommend(buyers: int, runs: int) -> Recommended:
    """The four recommendation files that ship, for so many buyers of one day."""
    from lifecycle import database, segments

    databases.make("buyers", "buyers.sql", people=buyers)
    journey = project.funnel()
    step, context = journey.steps[0], project.context(journey)
    postgres = databases.postgres_pid()
    found = Recommended(Timing(FOUND, buyers), {}, Timing(LISTED, buyers))
    with databases.in_use("buyers"):
        for _ in range(runs):
            with database.transaction() as connection:
                database.set_as_of(connection, context.as_of, context.zone)
                with measured(postgres) as usage:
                    people = list(segments.people(connection, segments.segment_of(journey, step)))
                found.people.runs.append(usage)
                assert len(people) == buyers, f"{len(people)} of {buyers} were due"
                for name, usage in _asked_for_everybody(connection, step, people, postgres):
                    found.files.setdefault(name, Timing(name, buyers)).runs.append(usage)
                with measured(postgres) as usage:
                    listed = segments.audience(connection, journey, step)
                    found.items = sum(len(person.variables[name]) for person in listed for name in step.lists)
                found.listed.runs.append(usage)
    databases.drop("buyers")
    return found


def _asked_for_everybody(connection: Any, step: Any, people: list[Any], postgres: int) -> Iterator[tuple[str, Usage]]:
    """Each file of a step by its name; a run asks the later ones for those only who lack items."""
    from lifecycle import recommendations

    with recommendations._tables(connection):
        recommendations._keep_people(connection, people)
        for name, files in recommendations.files_of(step).items():
            recommendations._fill_audience(connection, name)
            for number, file in enumerate(files):
                with measured(postgres) as usage:
                    file.insert(connection, "first_items", list=name, file_number=number)
                yield file.path.name, usage
