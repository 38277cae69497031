"""The mappings of `examples/sources`: a company's own tables, migrated, checked, and picked from by the shipped ladder."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from tests.conftest import PROJECT, plain
from tests.project_builder import ProjectBuilder

from lifecycle import checks, cli, contract, database

EXAMPLES = PROJECT / "examples" / "sources"
RUN_DAY = "2026-03-31"


def lifecycle(*words: str) -> str:
    """What a command prints, notes on standard error left out."""
    done = CliRunner().invoke(cli.cli, words)
    assert done.exit_code == 0, f"{words}: {done.output} {done.exception}"
    return done.stdout


def company(example: str, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's tables and rows in the database, and a project whose sources are mapped to them."""
    with psycopg.connect(plain(address)) as connection:
        for script in ("tables", "rows"):
            connection.execute((EXAMPLES / example / f"{script}.sql").read_bytes())
    ProjectBuilder(folder, with_reactivation=True).map_sources(EXAMPLES / example / "sources")
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(folder))
    monkeypatch.chdir(folder)
    lifecycle("db", "migrate")


@pytest.fixture
def shopify(empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company("shopify", tmp_path, empty_database, monkeypatch)


@pytest.fixture
def northwind(empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company("northwind", tmp_path, empty_database, monkeypatch)


def audience(step: str) -> list[str]:
    printed = lifecycle("audience", f"reactivation/{step}", "--as-of", RUN_DAY, "--format", "csv")
    return [f"{row['customer_id']}/{row['anchor']}" for row in csv.DictReader(io.StringIO(printed))]


def planned() -> dict[str, str]:
    printed = lifecycle("plan", "reactivation", "--as-of", RUN_DAY, "--format", "csv")
    rows = csv.DictReader(io.StringIO(printed))
    return {f"{row['step']} {row['customer_id']}": row["reason"] or row["outcome"] for row in rows}


def seen(view: str, key: str, columns: str) -> dict[str, tuple[Any, ...]]:
    """Columns of the rows of a view, by their key."""
    with database.transaction() as connection:
        rows = database.driver(connection).execute(f"select {key}, {columns} from {view}".encode()).fetchall()
    return {row[0]: row[1:] for row in rows}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type]


@pytest.mark.parametrize("example", ["shopify", "northwind"])
def test_an_example_maps_every_source_and_says_from_when_on_its_rows_are_known(example: str) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (EXAMPLES / example / "sources").glob("*.sql")}
    assert set(files) == {table.name for table in contract.TABLES}
    for table in contract.TABLES:
        is_empty = files[table.name].rstrip().endswith("where false")
        if table.known_from and table.name != "products" and not is_empty:
            assert "Known from: " in files[table.name], table.name


def proven() -> dict[str, str]:
    """On which rows each source was proven; the check has nothing to say against any."""
    found = checks.report()
    assert (found.problems, found.warnings) == ([], [])
    return {Path(label.file).stem: label.why for label in found.labels if label.label == "proven"}


NOTHING = "no rows"


@pytest.mark.usefixtures("shopify")
def test_the_check_proves_the_mapping_of_a_shopify_like_shop() -> None:
    assert proven() == {
        "customers": "all 10 rows",
        "products": "all 2 rows",
        "orders": "all 11 rows",
        "order_items": "all 4 rows",
        "refunds": "all 1 rows",
        "carts": "all 1 rows",
        **dict.fromkeys(["reviews", "page_views", "dependants", "events"], NOTHING),
    }


@pytest.mark.usefixtures("northwind")
def test_the_check_proves_the_mapping_of_a_northwind_like_wholesaler() -> None:
    assert proven() == {
        "customers": "all 6 rows",
        "products": "all 3 rows",
        "orders": "all 8 rows",
        "order_items": "all 9 rows",
        **dict.fromkeys(["refunds", "reviews", "page_views", "carts", "dependants", "events"], NOTHING),
    }


@pytest.mark.usefixtures("shopify")
def test_the_ladder_picks_the_silent_people_of_a_shopify_like_shop() -> None:
    # 9003 was ordered in the first instant of the day and 9005 in the last; Eve came back; 9011 was a test; the till
    # told of 9010 on 1 March, though it was rung up before.
    assert audience("survey") == ["7001/9002", "7002/9003", "7006/9008", "7007/9009", "7008/9010"]
    assert audience("contest") == ["7003/9004"]
    assert audience("coupon") == ["7004/9005"]


@pytest.mark.usefixtures("shopify")
def test_the_policy_knows_the_consents_and_numbers_of_a_shopify_like_shop() -> None:
    outcomes = planned()
    assert outcomes["survey 7001"] == "would_send"
    assert outcomes["survey 7002"] == "no_consent"
    assert outcomes["survey 7006"] == "invalid_address"
    assert outcomes["survey 7007"] == "no_consent"
    assert outcomes["survey 7008"] == "would_send"


@pytest.mark.usefixtures("shopify")
def test_the_facts_of_a_shopify_like_shop_arrive_in_the_words_of_the_contract() -> None:
    customers = seen("source.customers", "customer_id", "first_name, last_name, phone, country, sms_opt_in_at")
    assert customers["7001"] == ("Aiko", "Sato", "+447700900101", "GB", utc(2025, 5, 4, 10))
    assert customers["7002"] == ("Ben", None, "+447700900102", "GB", None)
    assert customers["7003"][4] == utc(2026, 2, 1, 12), "a consent without a time counts from the last change"
    orders = seen("source.orders", "order_id", "total_cents, currency, ordered_at, shipped_at, delivered_at")
    assert orders["9001"] == (2388, "GBP", utc(2025, 12, 20, 11), utc(2025, 12, 21, 9), utc(2025, 12, 23, 15))
    assert orders["9002"] == (2220, "GBP", utc(2026, 3, 1, 12), utc(2026, 3, 2, 9), utc(2026, 3, 6, 10))
    assert orders["9004"][3:] == (utc(2026, 2, 1, 12), None), "one parcel was called back, the other never arrived"
    assert orders["9007"][:2] == (120_000, "JPY")
    assert set(orders) == {str(number) for number in range(9001, 9014)} - {"9011", "9012"}
    assert seen("source.refunds", "refund_id", "amount_cents, order_id") == {"9201": (285, "9002")}
    items = seen("source.order_items", "order_id || '/' || line", "product_id, quantity, unit_price_cents")
    assert items == {
        "9001/1": ("5001", 2, 995),
        "9002/1": ("5001", 1, 995),
        "9002/2": ("5002", 3, 285),
        "9004/1": ("5002", 10, 300),
    }
    products = seen("source.products", "product_id", "name, price_cents, in_stock")
    assert products == {"5001": ("Green tea", 995, True), "5002": ("Cup", 300, False)}
    assert seen("source.carts", "cart_id", "customer_id, jsonb_array_length(items)") == {"9601": ("7009", 1)}


@pytest.mark.usefixtures("northwind")
def test_the_ladder_picks_the_silent_people_of_a_northwind_like_wholesaler() -> None:
    assert audience("survey") == ["ANGUS/10249"]
    assert audience("contest") == ["BRIDG/10250"]
    assert audience("coupon") == ["CASTL/10251"]


@pytest.mark.usefixtures("northwind")
def test_nobody_gets_marketing_where_nobody_ever_consented() -> None:
    assert planned()["survey ANGUS"] == "no_consent"


@pytest.mark.usefixtures("northwind")
def test_the_facts_of_a_northwind_like_wholesaler_arrive_in_the_words_of_the_contract() -> None:
    customers = seen("source.customers", "customer_id", "first_name, last_name, phone, signed_up_at")
    assert customers == {
        "ANGUS": ("Mairi", "Angus", "+442079460101", utc(2025, 11, 3, 23, 59, 59)),
        "BRIDG": ("Tom", "van den Berg", "+441134960102", utc(2026, 1, 30, 23, 59, 59)),
        "CASTL": ("Ruth", "Castle", "+15035550103", utc(2025, 12, 31, 23, 59, 59)),
        "DELIK": ("Jana", None, "+49300074321", utc(2026, 3, 1, 23, 59, 59)),
        "ELMAR": ("Rosa", "Mar", None, utc(2026, 3, 2, 23, 59, 59)),
        "FJORD": (None, None, None, utc(2026, 2, 28, 23, 59, 59)),
    }
    orders = seen("source.orders", "order_id", "total_cents, ordered_at, shipped_at")
    # 5 x 18.00 x 0.95 + 3 x 14.40 x 0.85
    assert orders["10249"] == (12222, utc(2026, 3, 1, 23, 59, 59), utc(2026, 3, 3, 23, 59, 59))
    # Summer time began on 29 March.
    assert orders["10253"] == (4320, utc(2026, 3, 30, 22, 59, 59), None)
    assert "10256" not in orders
    products = seen("source.products", "product_id", "name, category, price_cents, in_stock")
    assert products == {
        "1": ("Chai", "Beverages", 1800, True),
        "2": ("Aniseed syrup", "Condiments", 1440, False),
        "3": ("Gumbo mix", "Condiments", 2135, False),
    }
    assert seen("source.order_items", "order_id || '/' || line", "unit_price_cents")["10249/2"] == (1224,)
