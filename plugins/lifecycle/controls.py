"""The kill switch: one row that every claim reads before a message leaves (architecture §11)."""

from __future__ import annotations

import getpass

from lifecycle import database, journeys
from lifecycle.journey import unknown_name


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
    with database.transaction() as connection:
        database.require_schema(connection)
        return [row.scope for row in database.rows(connection, "engine/controls/paused.sql")]
