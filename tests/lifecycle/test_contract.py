"""The import contract against the database: tables, views, what they show as of an instant, and what they cost."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifecycle import contract, database
from lifecycle.contract import TABLES, Table
from lifecycle.csv_import import import_folder
from lifecycle.demo_shop import write_demo_shop
from lifecycle.settings import sql_folder

pytestmark = pytest.mark.usefixtures("database_url")

CASES = Path(__file__).parents[1] / "sql" / "contract"
TODAY = date(2026, 3, 1)
NAMES = [table.name for table in TABLES]


def fetch(statement: str, as_of: datetime | None = None) -> list[tuple[Any, ...]]:
    """The rows of a statement as the engine's reader sees them at `as_of`."""
    with database.transaction() as connection:
        if as_of:
            database.set_as_of(connection, as_of, "UTC")
        return list(database.driver(connection).execute(statement.encode()).fetchall())


# Tables and views are what the contract says


def columns_of(schema: str, name: str) -> list[tuple[str, str]]:
    return fetch(
        "select column_name, data_type from information_schema.columns"
        f" where table_schema = '{schema}' and table_name = '{name}' and is_identity = 'NO' order by ordinal_position"
    )


@pytest.mark.parametrize("schema", ["imported", "source", "shop"])
@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_a_table_and_its_views_have_the_columns_of_the_contract(table: Table, schema: str) -> None:
    assert columns_of(schema, table.name) == [(column.stored_name, column.sql_type) for column in table.columns]


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_required_columns_and_keys_are_held_by_the_database(table: Table) -> None:
    filled = fetch(
        "select column_name from information_schema.columns where is_nullable = 'NO' and is_identity = 'NO'"
        f" and table_schema = 'imported' and table_name = '{table.name}'"
    )
    assert {name for (name,) in filled} == {column.stored_name for column in table.columns if column.required}
    key = fetch(
        "select attribute.attname from pg_index join pg_attribute as attribute on attribute.attrelid = indrelid"
        f" and attribute.attnum = any(indkey) where indrelid = 'imported.{table.name}'::regclass and indisprimary"
        " and attribute.attidentity = ''"
    )
    assert {name for (name,) in key} == set(table.key)


def test_the_import_checks_every_reference_of_the_contract() -> None:
    statement = database.statement("engine/import/unknown_references.sql")
    checked = re.findall(
        r"'(\w+)' as table_name,\s+'(\w+)' as column_name.*?from imported\.(\w+) as known", statement, re.DOTALL
    )
    assert checked == [(table.name, column, target) for table in TABLES for column, target in table.references]


@pytest.mark.parametrize("name", ["lock", "clear", "filled_tables", "analyze"])
def test_the_import_forgets_no_table(name: str) -> None:
    statement = database.statement(f"engine/import/{name}.sql")
    named = set(re.findall(r"imported\.(\w+)", statement))
    assert named == ({"customers"} if name == "lock" else set(NAMES))


def test_every_kind_is_explained() -> None:
    assert {column.kind for table in TABLES for column in table.columns} == set(contract.MEANINGS)


def test_the_reader_sees_the_views_of_the_shop_and_nothing_below() -> None:
    for table in TABLES:
        for schema in ("shop", "source", "imported"):
            may = fetch(f"select has_table_privilege('lifecycle_reader', '{schema}.{table.name}', 'select')")
            assert may == [(schema == "shop",)]


# What a view shows as of an instant: cases


def view_cases() -> list[Any]:
    return [
        pytest.param(path.stem.partition("_")[2], case, id=f"{path.stem}: {case['name']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value


def insert(connection: Any, table: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        names = ", ".join(row)
        record = json.dumps({name: plain(value) for name, value in row.items()})
        connection.execute(
            f"insert into {table} ({names}) select {names} from jsonb_populate_record(null::{table}, %s)", (record,)
        )


@pytest.mark.parametrize(("view", "case"), view_cases())
def test_a_view_shows_what_was_known(view: str, case: dict[str, Any]) -> None:
    with database.transaction() as connection:
        raw = database.driver(connection)
        raw.execute(database.statement("engine/import/clear.sql").encode())
        for table, rows in case["given"].items():
            insert(raw, table, rows)
        database.set_as_of(connection, datetime.fromisoformat(f"{case['as_of']}T00:00:00+00:00"), "UTC")
        seen = [row[0] for row in raw.execute(f"select to_jsonb(v) from shop.{view} as v".encode()).fetchall()]
        connection.rollback()
    expected = [{name: plain(value) for name, value in row.items()} for row in case["expect"]]
    shown = [{name: row[name] for name in expected[0]} for row in seen] if expected else seen
    assert sorted(shown, key=str) == sorted(expected, key=str)


def test_every_view_of_the_shop_has_cases() -> None:
    files = {path.stem for path in (sql_folder() / "contract").glob("1?_*.sql")}
    assert {path.stem for path in CASES.glob("1?_*.yaml")} == files


# What a view shows as of an instant: the whole against the whole


class Shop:
    """A generated shop in full, and the same shop as its files looked at some instant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_demo_shop(folder, today=TODAY, customers=250, seed=11)
        self.rows = {name: list(csv.DictReader((folder / f"{name}.csv").open(encoding="utf-8"))) for name in NAMES}

    def times(self) -> list[datetime]:
        """Every instant at which something became known."""
        return sorted({moment for table in TABLES for row in self.rows[table.name] for moment in _times(table, row)})

    def truncate(self, folder: Path, instant: datetime) -> Path:
        """Write the files as somebody who could not look beyond `instant` would have."""
        folder.mkdir()
        known = {name: [row for row in self.rows[name] if self._is_known(name, row, instant)] for name in NAMES}
        for name, rows in known.items():
            fields = list(self.rows[name][0])
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, fields)
                writer.writeheader()
                writer.writerows(_without_later_times(row, instant) for row in rows)
        return folder

    def _is_known(self, name: str, row: dict[str, str], instant: datetime) -> bool:
        own = {
            "customers": "signed_up_at",
            "orders": "ordered_at",
            "refunds": "refunded_at",
            "reviews": "reviewed_at",
            "page_views": "viewed_at",
            "carts": "updated_at",
            "events": "occurred_at",
            "products": "launched_at",
        }
        if name in own:
            time = row[own[name]]
            return not time or datetime.fromisoformat(time) < instant
        parent, key = {"order_items": ("orders", "order_id"), "dependants": ("customers", "customer_id")}[name]
        return any(self._is_known(parent, other, instant) for other in self.rows[parent] if other[key] == row[key])


def _times(table: Table, row: dict[str, str]) -> Iterator[datetime]:
    for column in table.columns:
        if column.kind == "time" and row[column.name]:
            yield datetime.fromisoformat(row[column.name])


def _without_later_times(row: dict[str, str], instant: datetime) -> dict[str, str]:
    return {
        name: "" if name.endswith("_at") and value and datetime.fromisoformat(value) >= instant else value
        for name, value in row.items()
    }


def _views(as_of: datetime) -> dict[str, list[str]]:
    return {name: sorted(row[0] for row in fetch(f"select v::text from shop.{name} as v", as_of)) for name in NAMES}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop") / "full")


@pytest.mark.parametrize("draw", range(6))
def test_the_views_show_what_files_cut_off_at_as_of_would_hold(shop: Shop, tmp_path: Path, draw: int) -> None:
    chance = random.Random(draw)
    # Exactly the instant of a fact, or the instant after it: the edge is where a view would be wrong.
    instant = chance.choice(shop.times()) + timedelta(microseconds=draw % 2)
    import_folder(shop.folder, replace=True)
    as_of_instant = _views(instant)
    import_folder(shop.truncate(tmp_path / "cut", instant), replace=True)
    assert as_of_instant == _views(datetime(2199, 1, 1, tzinfo=timezone.utc))
    assert as_of_instant["customers"]


# What a view costs


def plan_of(statement: str, as_of: datetime) -> list[dict[str, Any]]:
    """Every node of the plan of a statement."""
    (plan,) = fetch(f"explain (format json) {statement}", as_of)[0]
    return list(_nodes(plan[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


@pytest.fixture(scope="module")
def large_shop(database_url: str) -> datetime:
    """Enough orders and page views over two years that reading all of them would be the wrong plan."""
    with database.transaction() as connection:
        raw = database.driver(connection)
        raw.execute(database.statement("engine/import/clear.sql").encode())
        raw.execute((Path(__file__).parent / "csv_import" / "large_shop.sql").read_bytes())
        raw.execute(database.statement("engine/import/analyze.sql").encode())
    return datetime(2026, 2, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(("fact", "time"), [("orders", "ordered_at"), ("page_views", "viewed_at")])
def test_who_became_silent_on_a_day_is_found_by_index(large_shop: datetime, fact: str, time: str) -> None:
    nodes = plan_of(
        f"select seen.customer_id from shop.{fact} as seen"
        f" where seen.{time} >= public.as_of() - interval '30 days' and seen.{time} < public.as_of() - interval '29 days'"
        f" and not exists (select 1 from shop.{fact} as later where later.customer_id = seen.customer_id"
        f" and later.{time} >= public.as_of() - interval '29 days')",
        large_shop,
    )
    assert f"{fact}_by_time" in {node.get("Index Name") for node in nodes}
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == fact]


def test_the_last_order_of_a_customer_is_found_by_index(large_shop: datetime) -> None:
    nodes = plan_of(
        "select orders.order_id from shop.orders as orders where orders.customer_id = '77'"
        " order by orders.ordered_at desc, orders.order_id desc limit 1",
        large_shop,
    )
    assert [node["Index Name"] for node in nodes if "Index Name" in node] == ["orders_of_customer"]
    assert not [node for node in nodes if "Sort" in node["Node Type"]]
