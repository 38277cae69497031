"""The kill switch: one row that every claim reads before a message leaves (architecture §11)."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

from lifecycle import database, journeys
from lifecycle.journey import unknown_name

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


def set_state(scope: str, state: str, reason: str) -> None:
    """Pause or open a scope: `all`, `email`, `sms` or a journey; opening `all` opens every one.

    Raises:
        LifecycleError: there is no such scope.
    """
    known = ["all", "email", "sms", *journeys.names()]
    if scope not in known:
        raise unknown_name("scope", scope, known)
    scopes = {scope, *paused()} if (scope, state) == ("all", "open") else {scope}
    with database.transaction() as connection:
        database.require_schema(connection)
        for one in sorted(scopes):
            values = {"scope": one, "state": state, "reason": reason, "changed_by": getpass.getuser()}
            database.run(connection, "engine/controls/set.sql", **values)


def paused() -> list[str]:
    """The scopes that are paused now."""
    return [control.scope for control in pauses()]


def pauses() -> list[Row[Any]]:
    """What is paused now, one row per scope: scope, reason, changed_by, changed_at."""
    with database.transaction() as connection:
        database.require_schema(connection)
        return database.rows(connection, "engine/controls/paused.sql")
