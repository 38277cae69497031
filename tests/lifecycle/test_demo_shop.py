"""The generated shop: always the same, importable, and with enough people at every step of the ladder."""

from __future__ import annotations

import csv
import filecmp
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import phonenumbers
import pytest

from lifecycle.contract import TABLES
from lifecycle.csv_import import import_folder
from lifecycle.demo_shop import write_demo_shop

TODAY = date(2026, 3, 1)
Row = dict[str, str]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "shop"
    write_demo_shop(folder, today=TODAY)
    return folder


def rows(folder: Path, name: str) -> list[Row]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def times(folder: Path) -> Iterator[datetime]:
    for table in TABLES:
        for row in rows(folder, table.name):
            for column in table.columns:
                if column.kind == "time" and row[column.name]:
                    yield datetime.fromisoformat(row[column.name])


def last_seen(folder: Path, before: date) -> dict[str, date]:
    """The day each customer last ordered or looked at the site before a day."""
    seen: dict[str, date] = {}
    for name, column in (("orders", "ordered_at"), ("page_views", "viewed_at")):
        for row in rows(folder, name):
            day = datetime.fromisoformat(row[column]).date()
            if row["customer_id"] and day < before:
                seen[row["customer_id"]] = max(day, seen.get(row["customer_id"], day))
    return seen


def test_the_same_day_size_and_seed_write_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_demo_shop(tmp_path / name, today=TODAY, customers=300)
    names = [table.file_name for table in TABLES]
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])


def test_another_seed_writes_another_shop(tmp_path: Path) -> None:
    write_demo_shop(tmp_path / "one", today=TODAY, customers=50, seed=1)
    write_demo_shop(tmp_path / "two", today=TODAY, customers=50, seed=2)
    assert rows(tmp_path / "one", "customers") != rows(tmp_path / "two", "customers")


@pytest.mark.usefixtures("database_url")
def test_it_is_imported_as_it_is(shop: Path) -> None:
    summary = import_folder(shop, replace=True)
    assert summary.rows["customers"] == 5000
    assert all(summary.rows.values())
    assert summary.newest_at is not None
    assert summary.newest_at.astimezone(timezone.utc).date() == TODAY - timedelta(days=1)


def test_it_covers_two_years_up_to_yesterday(shop: Path) -> None:
    moments = sorted(times(shop))
    assert TODAY - timedelta(days=730) <= moments[0].date() <= TODAY - timedelta(days=720)
    assert moments[-1].date() == TODAY - timedelta(days=1)


@pytest.mark.parametrize("days_back", range(7))
def test_every_step_of_the_ladder_has_people_on_each_of_the_last_days(shop: Path, days_back: int) -> None:
    run_day = TODAY - timedelta(days=days_back)
    silent = Counter((run_day - day).days for day in last_seen(shop, run_day).values())
    for step in (30, 60, 90):
        assert 5 <= silent[step] <= 25


def test_consents_are_common_but_not_universal(shop: Path) -> None:
    customers = rows(shop, "customers")
    emails = sum(bool(row["email_opt_in_at"]) for row in customers) / len(customers)
    sms = sum(bool(row["sms_opt_in_at"]) for row in customers) / len(customers)
    assert 0.82 < emails < 0.88
    assert 0.67 < sms < 0.73


def test_some_people_share_a_phone_and_some_have_none(shop: Path) -> None:
    phones = Counter(row["phone"] for row in rows(shop, "customers"))
    assert 50 < phones.pop("") < 300
    assert 20 < sum(count > 1 for count in phones.values()) < 200


def test_no_address_in_it_can_belong_to_a_person(shop: Path) -> None:
    for row in rows(shop, "customers"):
        assert row["email"].partition("@")[2] in ("example.com", "example.org", "example.net")
        assert not row["phone"] or is_fictional(row["phone"])


def is_fictional(phone: str) -> bool:
    """In use nowhere, or one of the hundred numbers 555-01xx that North America keeps for fiction."""
    number = phonenumbers.parse(phone)
    in_use = phonenumbers.is_valid_number(number) and not (phone.startswith("+1") and phone[5:10] == "55501")
    return phonenumbers.is_possible_number(number) and not in_use


def test_nobody_acts_before_signing_up(shop: Path) -> None:
    signed_up = {row["customer_id"]: row["signed_up_at"] for row in rows(shop, "customers")}
    for order in rows(shop, "orders"):
        assert signed_up[order["customer_id"]] < order["ordered_at"]
    for row in rows(shop, "customers"):
        assert not row["referred_by"] or signed_up[row["referred_by"]] <= row["signed_up_at"]


def test_the_total_of_an_order_is_the_sum_of_its_lines(shop: Path) -> None:
    sums: Counter[str] = Counter()
    for item in rows(shop, "order_items"):
        sums[item["order_id"]] += round(float(item["unit_price"]) * 100) * int(item["quantity"])
    assert {row["order_id"]: round(float(row["total"]) * 100) for row in rows(shop, "orders")} == dict(sums)


def test_nothing_is_sold_before_its_launch(shop: Path) -> None:
    launched = {row["product_id"]: row["launched_at"] for row in rows(shop, "products") if row["launched_at"]}
    ordered = {row["order_id"]: row["ordered_at"] for row in rows(shop, "orders")}
    assert len(launched) == 8
    for item in rows(shop, "order_items"):
        assert launched.get(item["product_id"], "") < ordered[item["order_id"]]
