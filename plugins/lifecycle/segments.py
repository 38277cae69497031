"""Segments: who a step is about. The file is the segment, its rows on a run day are the audience."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.journey import Journey, Step


class AudienceRow(NamedTuple):
    """One person of an audience; `variables` are the segment's free columns, for the template."""

    customer_id: str
    anchor: str
    variables: dict[str, Any]


def segment_of(journey: Journey, step: Step) -> AnalystSql:
    """The segment file of a step."""
    return AnalystSql(journey.sql_path(step.segment), "audience")


def check(connection: Connection, journey: Journey, step: Step) -> list[str]:
    """Check a step's segment against the contract; returns the columns it gives.

    Raises:
        LifecycleError: the first rule that is broken, with file, line and hint.
    """
    return segment_of(journey, step).checked_columns(connection)


def audience(connection: Connection, journey: Journey, step: Step) -> Iterator[AudienceRow]:
    """The people a checked segment picks at the transaction's `as_of()`, before any policy.

    Raises:
        LifecycleError: a row has no customer or anchor, or comes twice; or Postgres gave up.
    """
    return people(connection, segment_of(journey, step))


def people(connection: Connection, file: AnalystSql, wrapper: str = "") -> Iterator[AudienceRow]:
    """The people a checked segment file picks at the transaction's `as_of()`; errors as those of `audience`."""
    seen: set[tuple[str, str]] = set()
    for row in file.stream(connection, wrapper):
        person = AudienceRow(*row)
        if person[:2] in seen:
            raise repeated_row(file, person)
        seen.add(person[:2])
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
    return _keep(connection, run_id, journey, step, chain([first], undecided)) if first else 0


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
