"""`lifecycle check`: what it proves on the data, what it says of a file's exactness, and how long it takes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tests.conftest import PROJECT
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import checks, database, exactness
from lifecycle.csv_import import import_folder
from lifecycle.demo_shop import write_demo_shop


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectBuilder:
    """A throw-away project with a journey of one SMS, in use as the current folder."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    project = ProjectBuilder(tmp_path)
    project.sms_journey("hello")
    return project


def said(project: ProjectBuilder, segment: str) -> list[str]:
    """What the check says of a journey with that segment."""
    project.segment("hello", "all", segment)
    return [str(problem) for problem in checks.problems("hello")]


FILE = "include/sql/journeys/hello/all.sql"
PROVEN = [
    (
        "select orders.customer_id, 'a' as anchor from shop.orders as orders",
        f"{FILE}: 1 of 3 rows repeat a customer and anchor. Return one row per customer and anchor: group, or select "
        "distinct on (customer_id, anchor).",
    ),
    (
        "select nullif(orders.customer_id, 'ben') as customer_id, orders.order_id as anchor from shop.orders as orders",
        f"{FILE}: 1 of 3 rows have no customer_id. Leave such rows out in the where clause.",
    ),
    (
        "select orders.customer_id, orders.shipped_at as anchor from shop.orders as orders",
        f"{FILE}: 3 of 3 rows have no anchor. Leave such rows out in the where clause.",
    ),
    (
        "select orders.customer_id, 1 / (orders.total_cents - 1000) as anchor from shop.orders as orders",
        f"{FILE}: Postgres says: division by zero. Mend the statement; lifecycle audience shows what it returns.",
    ),
]


@pytest.mark.parametrize(("segment", "line"), PROVEN)
def test_what_a_run_relies_on_is_proven_on_the_data(
    project: ProjectBuilder, shop: Shop, segment: str, line: str
) -> None:
    assert said(project, segment) == []
    for name in ("ana", "ben"):
        shop.customer(name)
        shop.order(name, date(2011, 3, 1))
    shop.order("ana", date(2011, 3, 2))
    assert said(project, segment) == [line]


def test_a_segment_that_costs_too_much_is_refused(
    project: ProjectBuilder, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.order(shop.customer("ana"), date(2011, 3, 1))
    product = "select one.customer_id, two.order_id as anchor from shop.orders as one cross join shop.orders as two"
    assert said(project, product) == []
    monkeypatch.setenv("LIFECYCLE_SEGMENT_COST", "1")
    (line,) = said(project, product)
    assert line.startswith(f"{FILE}: Postgres expects a cost of ")
    assert ", and the ceiling is 1. Look only at the days that matter" in line


def test_a_file_is_named_once_whatever_is_wrong_with_it(project: ProjectBuilder, shop: Shop) -> None:
    shop.order(shop.customer("ana"), date(2011, 3, 1))
    assert len(said(project, "select customer_id from shop.orders")) == 1


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("select customer_id, order_id as anchor from shop.orders", ()),
        ("select customer_id, signed_up_at as anchor from shop.customers where sms_opt_in_at is not null", ()),
        ("select customer_id, 'a' as anchor from shop.customers where city = 'Lyon'", ("shop.customers.city",)),
        ("select c.customer_id, c.email as anchor from shop.customers as c", ("shop.customers.email",)),
        (
            "with near as (select people.customer_id from shop.customers as people where people.city = 'Lyon') "
            "select near.customer_id, 'a' as anchor from near",
            ("shop.customers.city",),
        ),
        (
            "select o.customer_id, o.order_id as anchor from shop.orders as o where exists (select 1 from shop.customers as c "
            "where c.customer_id = o.customer_id and c.Locale = 'ja')",
            ("shop.customers.locale",),
        ),
        (
            "select o.customer_id, o.order_id as anchor from shop.orders as o cross join lateral (select p.in_stock from "
            "shop.products as p where p.name = o.currency) as stock",
            ("shop.products.in_stock", "shop.products.name"),
        ),
        (
            "select customer_id, 'a' as anchor from shop.orders union select customer_id, city from shop.customers",
            ("shop.customers.city",),
        ),
        ("select o.customer_id, o.currency as anchor from shop.orders as o, shop.products as p", ()),
    ],
)
def test_a_file_that_reads_what_is_not_as_of_the_past_is_approximate(text: str, columns: tuple[str, ...]) -> None:
    assert exactness.columns_of_today(text) == columns


def test_a_mistake_in_a_file_of_two_steps_is_said_once(project: ProjectBuilder, database_url: str) -> None:
    steps = ", ".join(f'Step("{name}", segment="all.sql", message=Sms("greet"))' for name in ("first", "second"))
    project.dag("hello", f'Journey(name="hello", steps=[{steps}])')
    assert said(project, "select customer_id, now() as anchor from shop.customers") == [
        f"{FILE}:1:21: now reads the clock, so a past day could not be repeated. Write as_of() instead."
    ]


def test_only_columns_that_exist_are_listed_as_not_point_in_time(database_url: str) -> None:
    with database.transaction() as connection:
        found = database.driver(connection).execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'shop'"
        )
        known = set(found.fetchall())
    assert {(view, column) for view, columns in exactness.NOT_AS_OF.items() for column in columns} <= known


def test_every_file_has_its_label(project: ProjectBuilder, database_url: str) -> None:
    project.segment("hello", "all", "select customer_id, 'a' as anchor from shop.customers where city = 'Lyon'")
    assert checks.labels("hello") == [(FILE, "approximate", "shop.customers.city: as of today")]


def test_the_repository_itself_has_no_problem_and_says_what_each_segment_knows(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    write_demo_shop(tmp_path, today=date(2026, 3, 1), customers=2_000, seed=7)
    import_folder(tmp_path, replace=False)
    report = checks.report()
    assert report.problems == []
    assert {label.label for label in report.labels} == {"exact", "proven", "approximate"}
    # Birthdays, zones, products, tiers and rewards are known as of today only.
    assert {Path(label.file).name for label in report.labels if label.label == "approximate"} == {
        *("dependants_birthday.sql", "own_birthday.sql"),
        *("month_began.sql", "reward_reached.sql", "tier_rose.sql", "tier_ends_soon.sql", "tiers.sql"),
        *("confirmed.sql", "education.sql", "thanks.sql", "reviews.sql", "review_request.sql"),
        *("bought_together.sql", "popular_in_category.sql", "viewed_not_bought.sql", "happy_reviews.sql"),
    }
