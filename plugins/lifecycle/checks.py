"""Checks: every journey, SQL file, template and source against its contract, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lifecycle import (
    as_of,
    database,
    draws,
    exactness,
    journeys,
    loyalty,
    programmes,
    recommendations,
    segments,
    settings,
    source_checks,
    stages,
)
from lifecycle.errors import LifecycleError, TryAgainError, shown_path

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lifecycle.analyst_sql import AnalystSql
    from lifecycle.journey import Step


class Label(NamedTuple):
    """What a file in order is good for.

    Of a journey's file: whether it gives the same people for a past day whenever it is asked: `exact`, or `approximate`
    and why. Of a source: `proven`, and on which rows.
    """

    file: str
    label: str
    why: str


class Report(NamedTuple):
    """What a check found: what must be mended, what to look at, and what the files in order are good for."""

    problems: list[LifecycleError]
    warnings: list[LifecycleError]
    labels: list[Label]


def report(journey_name: str | None = None) -> Report:
    """Check one journey, or the whole repository: sources, journeys and earning rules. Labels are given when nothing is wrong.

    Raises:
        LifecycleError: the files cannot be checked, because Postgres is away or was never migrated.
    """
    proofs = [] if journey_name else source_checks.proofs()
    found = [*(problem for proof in proofs for problem in proof.problems), *problems(journey_name)]
    warnings = [warning for proof in proofs for warning in proof.warnings]
    proven = [Label(proof.file, "proven", proof.examined) for proof in proofs if proof.examined]
    return Report(found, warnings, [] if found else [*proven, *labels(journey_name)])


def labels(journey_name: str | None = None) -> list[Label]:
    """The label of every file of an analyst that has no problems."""
    names = [journey_name] if journey_name else journeys.names()
    declared = [journeys.load(name) for name in names]
    files = [*(file for one in declared for file in _analyst_files(one)), *_recommendation_files(declared)]
    if not journey_name:
        files += [rule for name in programmes.names() for rule in loyalty.rules_of(programmes.load(name))]
        files += draws.rules()
    return [_label(file) for file in files]


def _label(file: AnalystSql) -> Label:
    columns = exactness.columns_of_today(file.text())
    why = f"{', '.join(columns)}: as of today" if columns else ""
    return Label(shown_path(file.path), "approximate" if columns else "exact", why)


def _analyst_files(declared: journeys.Declared) -> list[AnalystSql]:
    """Each SQL file of a journey, once."""
    return list(dict.fromkeys(stages.analyst_files(declared.journey)))


def _recommendation_files(declared: list[journeys.Declared]) -> list[AnalystSql]:
    """Each recommendation file that a step of these journeys asks, once."""
    steps = [step for one in declared for step in one.journey.steps]
    found = [file for step in steps for files in recommendations.files_of(step).values() for file in files]
    return list(dict.fromkeys(found))


def problems(journey_name: str | None = None) -> list[LifecycleError]:
    """What is wrong with journeys, one error per file that breaks its contract; an empty list means all is well.

    Raises:
        LifecycleError: the files cannot be checked, because Postgres is away or was never migrated.
    """
    with database.transaction() as connection:
        database.require_schema(connection)
    found: list[LifecycleError] = []
    for name in [journey_name] if journey_name else journeys.names():
        try:
            declared = journeys.load(name)
        except LifecycleError as error:
            found.append(error)
            continue
        found += _problems_of_files(declared)
    if not journey_name:
        found += [*_problems_of_programmes(), *_problems_of_draws()]
    # Once each: a file of two steps is proved with both of them.
    return list({str(problem): problem for problem in found}.values())


def _problems_of_programmes() -> list[LifecycleError]:
    found: list[LifecycleError] = []
    for name in programmes.names():
        try:
            programme = programmes.load(name)
        except LifecycleError as error:
            found.append(error)
            continue
        found += _failures(partial(_prove_rule, rule, programme.zone) for rule in loyalty.rules_of(programme))
    return found


def _problems_of_draws() -> list[LifecycleError]:
    return list(_failures(rule.checked_columns for rule in draws.rules()))


def _prove_rule(rule: AnalystSql, zone: str, connection: Connection) -> None:
    rule.checked_columns(connection)
    _prove(rule, zone, connection)


def _problems_of_files(declared: journeys.Declared) -> list[LifecycleError]:
    found = list(_failures(stages.file_checks(declared.journey)))
    wrong = {error.file for error in found}
    proofs = [
        partial(_prove, file, declared.zone) for file in _analyst_files(declared) if shown_path(file.path) not in wrong
    ]
    steps = [step for step in declared.journey.steps if step.lists and not wrong]
    return [*found, *_failures([*proofs, *(partial(_prove_recommendations, declared, step) for step in steps)])]


def _failures(made: Iterable[Callable[[Connection], object]]) -> Iterator[LifecycleError]:
    for check in made:
        # A transaction each: Postgres ends the one in which a statement was refused.
        try:
            with database.transaction() as connection:
                check(connection)
        except TryAgainError:
            raise
        except LifecycleError as error:
            yield error


def _prove(file: AnalystSql, zone: str, connection: Connection) -> None:
    """Ask for cost and rows as of the midnight after the newest fact; without data there is nothing to prove."""
    if _look_from_the_newest_fact(zone, connection):
        file.require_sound(connection, most_cost=settings.segment_cost())


def _prove_recommendations(declared: journeys.Declared, step: Step, connection: Connection) -> None:
    if _look_from_the_newest_fact(declared.zone, connection):
        people = segments.people(connection, segments.segment_of(declared.journey, step))
        recommendations.prove(connection, step, people, most_cost=settings.segment_cost())


def _look_from_the_newest_fact(zone: str, connection: Connection) -> bool:
    ((newest,),) = database.rows(connection, "engine/segments/newest_fact.sql")
    if newest is None:
        return False
    day = as_of.run_day(newest, zone) + timedelta(days=1)
    database.set_as_of(connection, as_of.midnight(day, zone), zone)
    return True
