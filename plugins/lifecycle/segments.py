"""Segments: who a step is about. The file is the segment, its rows on a run day are the audience."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import database, recommendations
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError
from lifecycle.journey import is_name

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step


# The column with which a segment may say why somebody who is due gets nothing.
SKIP_REASON = "skip_reason"


class AudienceRow(NamedTuple):
    """One person of an audience; `variables` are the segment's free columns, for the template."""

    customer_id: str
    anchor: str
    variables: dict[str, Any]


class Printable(NamedTuple):
    """What a template may print of a segment: its columns, and what the items of each list have."""

    columns: set[str]
    lists: dict[str, set[str]]


def segment_of(journey: Journey, step: Step) -> AnalystSql:
    """The segment file of a step."""
    return AnalystSql(journey.sql_path(step.segment), "audience")


def check(connection: Connection, journey: Journey, step: Step) -> Printable:
    """Check a step's segment and recommendations against the contract; returns what they give to the template.

    Raises:
        LifecycleError: the first rule that is broken, with file, line and hint.
    """
    columns = set(segment_of(journey, step).checked_columns(connection))
    return Printable(columns - {SKIP_REASON}, recommendations.check(connection, step))


def audience(connection: Connection, journey: Journey, step: Step) -> Iterator[AudienceRow]:
    """The people a checked segment picks at the transaction's `as_of()`, before any policy, with what is recommended.

    Raises:
        LifecycleError: a row has no customer or anchor, comes twice, or is skipped for what is no short word; or
            Postgres gave up.
    """
    return _listed(connection, step, people(connection, segment_of(journey, step)))


def _listed(connection: Connection, step: Step, picked: Iterator[AudienceRow]) -> Iterator[AudienceRow]:
    """The same people with what is recommended to them, where the step recommends anything."""
    if not step.lists:
        return picked
    return (AudienceRow(*person) for person in recommendations.listed(connection, step, picked))


def people(connection: Connection, file: AnalystSql, wrapper: str = "") -> Iterator[AudienceRow]:
    """The people a checked segment file picks at the transaction's `as_of()`; errors as those of `audience`."""
    seen: set[tuple[str, str]] = set()
    for row in file.stream(connection, wrapper):
        person = AudienceRow(*row)
        if person[:2] in seen:
            raise repeated_row(file, person)
        seen.add(person[:2])
        _require_short_word(file, person.variables.get(SKIP_REASON))
        yield person


def select_audience(connection: Connection, run_id: int, journey: Journey, step: Step) -> int:
    """Keep the audience of a step for this run, replacing an earlier selection. Returns how many people."""
    check(connection, journey, step)
    database.run(connection, "engine/segments/clear_audience.sql", run_id=run_id, step=step.name)
    return _keep(connection, run_id, journey, step, audience(connection, journey, step))


def select_undecided(connection: Connection, run_id: int, journey: Journey, step: Step) -> int:
    """Keep whom a checked segment picks and nothing was decided about yet for this run. Returns how many people.

    What an earlier selection of the run has found stays: it is decided by now.
    """
    database.run(connection, "engine/segments/set_deciding.sql", journey=journey.name, step=step.name)
    undecided = people(connection, segment_of(journey, step), "undecided")
    first = next(undecided, None)
    if first is None:
        return 0
    return _keep(connection, run_id, journey, step, _listed(connection, step, chain([first], undecided)))


def _keep(connection: Connection, run_id: int, journey: Journey, step: Step, picked: Iterable[AudienceRow]) -> int:
    records = (
        (run_id, step.name, person.customer_id, person.anchor, json.dumps(person.variables)) for person in picked
    )
    count = 0
    for chunk in _chunks(records, 5_000):
        columns = ("run_id", "step", "customer_id", "anchor", "variables")
        count += database.copy_rows(connection, "lifecycle.audiences", columns, chunk)
    selected = {"run_id": run_id, "step": step.name, "people": count}
    sql_sha = segment_of(journey, step).sha()
    database.run(connection, "engine/segments/keep_selection.sql", **selected, sql_sha=sql_sha)
    return count


def _require_short_word(file: AnalystSql, reason: Any) -> None:
    if reason is not None and not is_name(reason):
        hint = "Return a word such as 'nothing_to_teach': small letters, digits and _; null sends the message"
        raise file.wrong(f"The {SKIP_REASON} {reason!r} is no short word", hint)


def repeated_row(file: AnalystSql, person: AudienceRow) -> LifecycleError:
    """The error for a segment that returns one customer and anchor twice."""
    return file.wrong(
        f"Customer {person.customer_id} with anchor {person.anchor} comes twice",
        "Return one row per customer and anchor: group, or select distinct on (customer_id, anchor)",
    )


def _chunks(records: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Whole chunks, because COPY and the cursor of the segment share one connection and must take turns."""
    chunk: list[tuple[Any, ...]] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
