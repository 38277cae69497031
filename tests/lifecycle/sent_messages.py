"""Messages as they stand after sending, made in bulk, for tests of what comes back."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql


class SentMessages:
    """Messages of one run, each to an address of its own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._numbers = 0
        found = connection.execute(
            "insert into lifecycle.runs (journey, as_of, run_day, run_type) "
            "values ('reactivation', now(), current_date, 'manual') returning run_id"
        ).fetchone()
        assert found
        self.run_id = found[0]
        rows = connection.execute(
            "select column_name from information_schema.columns "
            "where table_schema = 'lifecycle' and table_name = 'messages' and is_generated = 'NEVER'"
        ).fetchall()
        self._columns = {name for (name,) in rows}

    def add(self, count: int = 1, *, channel: str = "email", send_state: str = "accepted") -> list[str]:
        """Some more messages to `<number>@example.com` or `+3363998<number>`; returns their ids."""
        first = self._numbers + 1
        self._numbers += count
        address = "n || '@example.com'" if channel == "email" else "'+3363998' || lpad(n::text, 4, '0')"
        attempt = "null" if send_state in ("queued", "skipped") else "gen_random_uuid()"
        values = {
            "dedupe_key": "'key ' || n",
            "run_id": str(self.run_id),
            "journey": "'reactivation'",
            "step": "'survey'",
            "customer_id": "'person-' || n",
            "anchor": "'order-' || n",
            "as_of": "now()",
            "run_day": "current_date",
            "planned_on": "current_date",
            "channel": f"'{channel}'",
            "template": "'survey'",
            "template_sha": "'sha'",
            "address_hash": f"lifecycle.address_hash({address})",
            "send_state": f"'{send_state}'",
            "attempt_id": attempt,
            "attempt_count": "0" if attempt == "null" else "1",
        }
        used = {name: value for name, value in values.items() if name in self._columns}
        statement = (
            f"insert into lifecycle.messages ({', '.join(used)}) select {', '.join(used.values())} "
            f"from generate_series({first}, {self._numbers}) as n returning message_id::text"
        )
        return [row[0] for row in self.connection.execute(statement.encode())]

    def state(self, message_id: str, *columns: str) -> tuple[Any, ...]:
        """Some columns of a message."""
        query = sql.SQL("select {} from lifecycle.messages where message_id = %s").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        found = self.connection.execute(query, (message_id,)).fetchone()
        assert found
        return found

    def suppressions(self) -> list[tuple[Any, ...]]:
        """Channel, reason, source and whether it holds, of every suppression."""
        return self.connection.execute(
            "select channel, reason, source, lifted_at is null from lifecycle.suppressions order by 1, 2, 3"
        ).fetchall()
