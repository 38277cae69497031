"""Checks: every journey, SQL file and template against its contract, before anything runs."""

from __future__ import annotations

from lifecycle import database, journeys, stages
from lifecycle.errors import LifecycleError, TryAgainError


def problems(journey_name: str | None = None) -> list[LifecycleError]:
    """What is wrong, one error per file that breaks its contract; an empty list means all is well.

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
    return found


def _problems_of_files(declared: journeys.Declared) -> list[LifecycleError]:
    found = []
    for check in stages.file_checks(declared.journey):
        # A transaction each: Postgres ends the one in which a statement was refused.
        try:
            with database.transaction() as connection:
                check(connection)
        except TryAgainError:
            raise
        except LifecycleError as error:
            found.append(error)
    return found
