"""The YAML cases of analysts' files: what is given, on which day, and which rows the file must return."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
import yaml

from lifecycle import as_of, database, journeys
from lifecycle.analyst_sql import AnalystSql
from tests.conftest import PROJECT
from tests.shop import Shop, noon

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.engine import Connection

CASES = PROJECT / "tests" / "sql" / "journeys"
SQL = PROJECT / "include" / "sql" / "journeys"
ZONE = "Europe/London"
# Files that look for the people of any step; their cases stand in `tests/sql/recommendations`.
RECOMMENDATIONS = "recommendations"


def files() -> list[Path]:
    """Every file of a journey, by its path below `include/sql/journeys`, and every `recommendations/<file>`."""
    shared = (SQL.parent / RECOMMENDATIONS).glob("*.sql")
    return sorted(
        [*(path.relative_to(SQL) for path in SQL.rglob("*.sql")), *(path.relative_to(SQL.parent) for path in shared)]
    )


def file_of(path: Path, changed: dict[str, str] | None = None) -> AnalystSql:
    """The analyst's file of that path, with some words changed as the file invites people to."""
    file = AnalystSql((SQL.parent if path.parts[0] == RECOMMENDATIONS else SQL) / path, kind_of(path))
    text = file.text()
    for words, others in (changed or {}).items():
        assert text.count(words) == 1, f"{path} has not once: {words}"
        text = text.replace(words, others)
    return replace(file, content=text.encode()) if changed else file


def case_file(path: Path) -> Path:
    """Where the cases of a file are written down."""
    folder = CASES.parent if path.parts[0] == RECOMMENDATIONS else CASES
    return folder / path.with_suffix(".yaml")


def all_cases_of(path: Path) -> list[dict[str, Any]]:
    """The cases of a file, also those of what it does once its words are changed."""
    return yaml.safe_load(case_file(path).read_text(encoding="utf-8"))


def cases_of(path: Path) -> list[dict[str, Any]]:
    """The cases of a file as it stands."""
    return [case for case in all_cases_of(path) if "changed" not in case]


def kind_of(path: Path) -> str:
    """What the journey uses the file for, as its Dag file declares it."""
    if path.parts[0] == RECOMMENDATIONS:
        return "recommendation"
    journey = journeys.load(path.parts[0]).journey
    if journey.goal and journey.goal.sql == path.name:
        return "goal"
    return "end" if journey.ends_with and journey.ends_with.sql == path.name else "audience"


def prepare(connection: Connection, journey: str, case: dict[str, Any]) -> None:
    """Fill the shop with what the case gives, and fix the instant it looks from."""
    if journey == RECOMMENDATIONS:
        look_for(connection, case["given"]["audience"])
    _fill(database.driver(connection), journey, case.get("given", {}))
    database.set_as_of(connection, instant_of(case), case.get("zone", ZONE))


def instant_of(case: dict[str, Any]) -> datetime:
    """The instant a case looks from, in its zone: the midnight of a day, or the moment it gives."""
    zone, moment = case.get("zone", ZONE), case["as_of"]
    return moment.astimezone(as_of.zone_named(zone)) if isinstance(moment, datetime) else as_of.midnight(moment, zone)


def look_for(connection: Connection, people: list[dict[str, str]]) -> None:
    """Have recommendation files look for these people."""
    for part in ("create_audience", "grant_audience"):
        database.run(connection, f"engine/recommendations/{part}.sql")
    for person in people:
        command = b"insert into pg_temp.audience (customer_id, anchor) values (%(customer_id)s, %(anchor)s)"
        database.driver(connection).execute(command, person)


def expected(case: dict[str, Any]) -> list[list[str]]:
    """The rows the file must return: `customer_id, anchor`, and for a goal `converted_at` where the case says when."""
    return [[str(value) for value in row] for row in case["expect"]]


def found(connection: Connection, file: AnalystSql, case: dict[str, Any]) -> list[list[str]]:
    """The rows the file returns, with as many columns as the case gives; sorted when the file does not sort them."""
    width = max((len(row) for row in case["expect"]), default=2)
    rows = [[str(value) for value in row[:width]] for row in file.stream(connection)]
    is_sorted = sqlglot.parse_one(file.text(), dialect="postgres").args.get("order")
    return rows if is_sorted else sorted(rows)


def _fill(connection: psycopg.Connection[Any], journey: str, given: dict[str, list[dict[str, Any]]]) -> None:
    shop = Shop(connection)
    _loyalty(connection, given)
    people = {row["customer_id"] for rows in given.values() for row in rows if row.get("customer_id")}
    described = {row["customer_id"]: row for row in given.get("customers", [])}
    for person in sorted(people):
        shop.customer(**described.get(person, {"customer_id": person}))
    for row in given.get("orders", []):
        shop.order(**_timed(row, "ordered_at", "ordered"))
    for row in given.get("products", []):
        shop.product(**row)
    for row in given.get("order_items", []):
        shop.item(**row)
    for row in given.get("reviews", []):
        shop.review(**_timed(row, "reviewed_at", "reviewed"))
    for row in given.get("page_views", []):
        shop.visit(**_timed(row, "viewed_at", "viewed"))
    for row in given.get("refunds", []):
        shop.refund(**_timed(row, "refunded_at", "refunded"))
    for row in given.get("dependants", []):
        shop.dependant(**row)
    for row in given.get("events", []):
        shop.event(**_timed(row, "occurred_at", "occurred"))
    for row in given.get("enrollments", []):
        _enroll(connection, **{"journey": journey, **row})
    for row in given.get("messages", []):
        _message(connection, **{"journey": journey, **row})
    for row in given.get("clicks", []):
        _click(connection, **{"journey": journey, **row})


def _timed(row: dict[str, Any], given_as: str, taken_as: str) -> dict[str, Any]:
    values = dict(row)
    values[taken_as] = values.pop(given_as)
    return values


def _enroll(connection: psycopg.Connection[Any], customer_id: str, anchor: str, entered_on: Any, **more: Any) -> None:
    values = {"exited_at": None, "exit_reason": None, **more}
    connection.execute(
        "insert into lifecycle.enrollments (journey, customer_id, anchor, entered_at, exited_at, exit_reason) "
        "values (%s, %s, %s, %s, %s, %s)",
        (values["journey"], customer_id, anchor, _midnight(entered_on), values["exited_at"], values["exit_reason"]),
    )


def _message(
    connection: psycopg.Connection[Any], customer_id: str, anchor: str, step: str, day: Any, **more: Any
) -> None:
    values = {"send_state": "accepted", "reason": None, **more}
    run_id = _run(connection, values["journey"], day)
    connection.execute(
        "insert into lifecycle.messages (run_id, journey, step, customer_id, anchor, as_of, run_day, planned_on, channel, "
        "template, template_sha, send_state, reason) "
        "values (%(run_id)s, %(journey)s, %(step)s, %(customer_id)s, %(anchor)s, %(as_of)s, %(run_day)s, %(run_day)s, 'sms', %(step)s, '', %(send_state)s, %(reason)s)",
        {
            **values,
            "customer_id": customer_id,
            "anchor": anchor,
            "step": step,
            "as_of": _midnight(day),
            "run_day": day,
            "run_id": run_id,
        },
    )


def _run(connection: psycopg.Connection[Any], journey: str, day: Any) -> int:
    found = connection.execute(
        "insert into lifecycle.runs (journey, as_of, run_day, run_type) values (%s, %s, %s, 'manual') "
        "on conflict (journey, as_of) do update set run_type = 'manual' returning run_id",
        (journey, _midnight(day), day),
    ).fetchone()
    assert found is not None
    return found[0]


def _click(
    connection: psycopg.Connection[Any], customer_id: str, anchor: str, step: str, clicked_at: Any, **more: Any
) -> None:
    is_machine = more.get("is_machine", False)
    connection.execute(
        "insert into lifecycle.engagements (message_id, customer_id, journey, step, anchor, kind, is_machine, occurred_at) "
        "select message_id, customer_id, journey, step, anchor, 'click', %s, %s from lifecycle.messages "
        "where customer_id = %s and anchor = %s and step = %s and journey = %s",
        (is_machine, noon(clicked_at), customer_id, anchor, step, more["journey"]),
    )


def _loyalty(connection: psycopg.Connection[Any], given: dict[str, list[dict[str, Any]]]) -> None:
    """Points, tiers, and what the programme declares; whoever has points is a customer too."""
    programme = {"programme": "loyalty_points"}
    level = programme | {"tier_days": 365, "free_shipping": False, "draw_entries": 0}
    for row in given.get("tier_levels", []):
        _insert(connection, "tier_levels", level | row)
    for row in given.get("rewards", []):
        _insert(connection, "rewards", programme | row)
    for number, row in enumerate(given.get("points", [])):
        kind = "earned" if row["points"] > 0 else "redeemed"
        entry = {"fact": f"fact-{number:03d}", "kind": kind, "other_side": kind, "requested": row["points"], **row}
        entry |= {
            name: noon(value) for name, value in row.items() if name in ("occurred_at", "expires_at", "counts_from")
        }
        _insert(connection, "points_entries", {"account_id": _account(connection, entry.pop("customer_id")), **entry})
    for row in given.get("tiers", []):
        period = {name: _midnight(value) if name in ("since", "until") else value for name, value in row.items()}
        _insert(
            connection,
            "tier_periods",
            programme | {"account_id": _account(connection, period.pop("customer_id"))} | period,
        )


def _account(connection: psycopg.Connection[Any], customer_id: str) -> int:
    connection.execute(
        "insert into lifecycle.points_accounts (customer_id) values (%s) on conflict do nothing", [customer_id]
    )
    asked = "select account_id from lifecycle.points_accounts where customer_id = %s"
    ((account_id,),) = connection.execute(asked, [customer_id]).fetchall()
    return account_id


def _insert(connection: psycopg.Connection[Any], table: str, values: dict[str, Any]) -> None:
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    connection.execute(f"insert into lifecycle.{table} ({names}) values ({places})".encode(), list(values.values()))


def _midnight(day: Any) -> Any:
    return as_of.midnight(day, ZONE)
