"""The proof of a mapping: each way to break one is one line with file, line, column, what is wrong and how to mend it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import checks, cli, contract, database, source_checks

SOURCES = "include/sql/sources"
DAY = date(2026, 3, 1)


class Company:
    """A project whose mapping is changed by a test, over a shop of two customers and three orders."""

    def __init__(self, project: ProjectBuilder, shop: Shop) -> None:
        self.project = project
        self.shop = shop

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a piece of a source file, and install it."""
        change(self.project, name, old, new)
        migrate()

    def problems(self) -> list[str]:
        return problems()

    def warnings(self) -> list[str]:
        return [str(warning) for proof in source_checks.proofs() for warning in proof.warnings]

    def examined(self, name: str) -> str:
        (proof,) = (proof for proof in source_checks.proofs() if proof.file.endswith(f"/{name}.sql"))
        return proof.examined


def change(project: ProjectBuilder, name: str, old: str, new: str) -> None:
    """Replace a piece of a source file."""
    text = (project.folder / SOURCES / f"{name}.sql").read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {name}.sql"
    project.write(f"{SOURCES}/{name}.sql", text.replace(old, new))


def migrate() -> None:
    assert CliRunner().invoke(cli.cli, ["db", "migrate"]).exit_code == 0


def problems() -> list[str]:
    return [str(problem) for proof in source_checks.proofs() for problem in proof.problems]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> ProjectBuilder:
    """A project over an empty database: enough for what a file itself says."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return ProjectBuilder(tmp_path)


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Company:
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("ana", "ben"):
        shop.customer(name)
    for name in ("ana", "ana", "ben"):
        shop.order(name, DAY)
    return Company(ProjectBuilder(tmp_path), shop)


def test_the_mapping_that_ships_is_proven_on_all_rows(company: Company) -> None:
    assert company.problems() == []
    assert company.warnings() == []
    assert company.examined("orders") == "all 3 rows"
    assert company.examined("carts") == "no rows"


# What a file says


def test_a_source_without_a_file_is_named(project: ProjectBuilder) -> None:
    (project.folder / SOURCES / "carts.sql").unlink()
    assert problems() == [
        f"{SOURCES}/carts.sql: The source carts has no file. Map your table; if you have none, give the columns of the "
        "contract `where false`."
    ]


SHAPES = [
    (
        "from imported.orders as orders",
        "form imported.orders as orders",
        f'{SOURCES}/orders.sql:15:6: Postgres says: syntax error at or near "imported". Mend the statement.',
    ),
    (
        "from imported.orders as orders",
        "from erp.sales as orders",
        f'{SOURCES}/orders.sql:15:6: Postgres says: relation "erp.sales" does not exist. Mend the statement.',
    ),
    (
        "    orders.currency,\n",
        "    orders.curency,\n",
        f"{SOURCES}/orders.sql:9:5: Postgres says: column orders.curency does not exist. Perhaps you meant to reference "
        'the column "orders.currency".',
    ),
    (
        "    orders.currency,\n",
        "",
        f"{SOURCES}/orders.sql:4:1: The column currency is missing. Every row must have one, as text.",
    ),
    (
        "    orders.shipped_at,\n",
        "    orders.shipped_at as shipped,\n",
        f"{SOURCES}/orders.sql:4:1: The column shipped_at is missing. Did you mean it by 'shipped'.",
    ),
    (
        "    orders.shipped_at,\n",
        "",
        f"{SOURCES}/orders.sql:4:1: The column shipped_at is missing. If your tables have none: cast(null as timestamptz) "
        "as shipped_at.",
    ),
    (
        "    orders.ordered_at,\n",
        "",
        f"{SOURCES}/orders.sql:4:1: There is no time of knowledge: the column ordered_at is missing. Every row must have "
        "one, as timestamp with time zone.",
    ),
    (
        "    orders.total_cents,\n",
        "    orders.total_cents / 100.0 as total_cents,\n",
        f"{SOURCES}/orders.sql:8:35: The column total_cents is numeric, not bigint. Money is in hundredths: "
        "cast(round(cast(amount as numeric) * 100) as bigint) as total_cents.",
    ),
    (
        "    orders.total_cents,\n",
        "    cast(orders.total_cents as text) as total_cents,\n",
        f"{SOURCES}/orders.sql:8:41: The column total_cents is text, not bigint. Money is in hundredths: "
        "cast(round(cast(amount as numeric) * 100) as bigint) as total_cents.",
    ),
    (
        "    orders.ordered_at,\n",
        "    cast(orders.ordered_at as timestamp) as ordered_at,\n",
        f"{SOURCES}/orders.sql:7:45: The column ordered_at is timestamp without time zone, not timestamp with time zone. "
        "Say which clock that was: ordered_at at time zone 'Europe/London'.",
    ),
    (
        "    orders.shipped_at,\n",
        "    cast(orders.shipped_at as date) as shipped_at,\n",
        f"{SOURCES}/orders.sql:11:40: The column shipped_at is date, not timestamp with time zone. A day is known at its "
        "end: (day + time '23:59:59') at time zone 'Europe/London' as shipped_at.",
    ),
    (
        "    orders.order_id,\n",
        "    cast(orders.order_id as char(20)) as order_id,\n",
        f"{SOURCES}/orders.sql:5:42: The column order_id is character, not text. Remove the padding: "
        "cast(btrim(order_id) as text) as order_id.",
    ),
    (
        "    orders.ordered_at,\n",
        "    now() as ordered_at,\n",
        f"{SOURCES}/orders.sql:7:5: now reads the clock, so a row would be known from another time at each look. Take a "
        "time that the row itself holds.",
    ),
    (
        "from imported.orders as orders",
        "from imported.orders as orders where orders.ordered_at < as_of()",
        f"{SOURCES}/orders.sql:15:58: A mapping gives all rows; the views of shop.* hide what is later than as_of(). Leave "
        "the condition out.",
    ),
    (
        "view source.orders as",
        "view source.sales as",
        f"{SOURCES}/orders.sql:3: The file does not make the view source.orders. Begin it with: create or replace view "
        "source.orders as.",
    ),
    (
        "from imported.orders as orders",
        "from imported.orders as orders;\ndrop table imported.carts",
        f"{SOURCES}/orders.sql:16:1: The file holds a second statement. Keep one.",
    ),
    (
        "    orders.currency,\n",
        "    'GBP as currency,\n",
        f"{SOURCES}/orders.sql: A quote or comment is never closed. Close it.",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), SHAPES)
def test_a_file_that_breaks_the_contract_is_named_with_its_place(
    project: ProjectBuilder, old: str, new: str, line: str
) -> None:
    change(project, "orders", old, new)
    assert problems() == [line]


def test_text_where_a_boolean_belongs_is_refused(project: ProjectBuilder) -> None:
    change(project, "products", "    products.in_stock\n", "    'yes' as in_stock\n")
    assert problems() == [
        f"{SOURCES}/products.sql:14:14: The column in_stock is text, not boolean. Write a condition, such as stock > 0 as "
        "in_stock."
    ]


def test_every_wrong_column_of_a_file_is_said_at_once(project: ProjectBuilder) -> None:
    change(project, "orders", "    orders.currency,\n    orders.cancelled_at,\n", "")
    assert len(problems()) == 2


def test_more_columns_in_another_order_and_varchar_are_the_companys_business(company: Company) -> None:
    change(company.project, "orders", "    orders.currency,\n", "")
    company.change(
        "orders",
        "    orders.order_id,\n",
        "    cast('GBP' as varchar(3)) as currency, 1 as warehouse,\n    orders.order_id,\n",
    )
    assert company.problems() == []


def test_a_mapping_from_before_a_column_was_added_gives_it_as_null(company: Company) -> None:
    """F-02: a company that maps its orders goes on when the contract learns of referral codes and subscriptions."""
    company.change(
        "orders",
        "    orders.delivered_at,\n    orders.referral_code,\n    orders.subscription_id\n",
        "    orders.delivered_at\n",
    )
    assert company.problems() == []
    found = company.shop.connection.execute("select distinct referral_code, subscription_id from shop.orders")
    assert found.fetchall() == [(None, None)]
    migrate()
    assert company.problems() == []


def test_a_binary_file_is_refused(project: ProjectBuilder) -> None:
    project.write(f"{SOURCES}/orders.sql", "create or replace view source.orders as select 1".encode("utf-16"))
    assert problems() == [f"{SOURCES}/orders.sql: The file is UTF-16 or binary. Save it as UTF-8."]


def test_a_file_that_was_changed_and_not_installed_is_named(company: Company) -> None:
    old = "from imported.orders as orders"
    change(company.project, "orders", old, f"{old} where orders.total_cents > 0")
    line = f"{SOURCES}/orders.sql: The database still has another source.orders than this file makes."
    assert company.problems() == [f"{line} Run: lifecycle db migrate."]
    migrate()
    assert company.problems() == []


def test_a_view_that_was_dropped_is_named(company: Company) -> None:
    company.shop.connection.execute("drop view source.carts cascade")
    assert company.problems() == [
        f"{SOURCES}/carts.sql: The view source.carts is not installed. Run: lifecycle db migrate."
    ]


def test_the_installation_of_a_mapping_that_lacks_a_column_says_where_to_look(company: Company) -> None:
    change(company.project, "orders", "    orders.currency,\n", "")
    refused = CliRunner().invoke(cli.cli, ["db", "migrate"])
    assert str(refused.exception) == (
        "include/sql/contract/12_orders.sql:8: Postgres says: column orders.currency does not exist. A file in "
        "include/sql/sources does not give it: lifecycle check says which."
    )
    change(company.project, "orders", "    orders.cancelled_at,\n", "    orders.currency,\n    orders.cancelled_at,\n")
    assert problems() == [], "the views of before stayed"


# What the rows say

ROWS = [
    (
        "orders",
        "    orders.ordered_at,\n",
        "    nullif(orders.ordered_at, '2026-03-01T12:00:00Z') as ordered_at,\n",
        f"{SOURCES}/orders.sql:7:58: 3 of 3 rows have no time of knowledge: ordered_at is null, so nobody would ever see "
        "them. Take the time at which the row was written, or leave such rows out.",
    ),
    (
        "orders",
        "    orders.customer_id,\n",
        "    nullif(orders.customer_id, 'ben') as customer_id,\n",
        f"{SOURCES}/orders.sql:6:42: 1 of 3 rows have no customer_id. Give them one, or leave such rows out.",
    ),
    (
        "orders",
        "from imported.orders as orders",
        "from imported.orders as orders cross join generate_series(1, 2)",
        f"{SOURCES}/orders.sql:5:12: 3 of 6 rows repeat a key: order_id must be unique. A join that finds several rows "
        "does this: sum or choose in a lateral subquery.",
    ),
    (
        "orders",
        "    orders.currency,\n",
        "    lower(orders.currency) as currency,\n",
        f"{SOURCES}/orders.sql:9:31: 3 of 3 rows have a currency that is not three capital letters such as GBP. Bring it "
        "into that form.",
    ),
    (
        "orders",
        "    orders.total_cents,\n",
        "    -orders.total_cents as total_cents,\n",
        f"{SOURCES}/orders.sql:8:28: 3 of 3 rows have a total_cents that is not 0 or more. Mend the expression, or leave "
        "such rows out.",
    ),
    (
        "orders",
        "    orders.order_id,\n",
        "    orders.order_id || ' ' as order_id,\n",
        f"{SOURCES}/orders.sql:5:31: 3 of 3 rows have a order_id that is not text without spaces around it. Bring it into that form.",
    ),
    (
        "orders",
        "    orders.ordered_at,\n",
        "    to_timestamp(extract(epoch from orders.ordered_at) * 1000) as ordered_at,\n",
        f"{SOURCES}/orders.sql:7:67: 3 of 3 rows have a ordered_at that is not a time of the years 1900 to 2199. Bring it "
        "into that form.",
    ),
    (
        "customers",
        "    customers.sms_opt_in_at,\n",
        "    cast('infinity' as timestamptz) as sms_opt_in_at,\n",
        f"{SOURCES}/customers.sql:17:40: 2 of 2 rows have a sms_opt_in_at that is not a time of the years 1900 to 2199. "
        "Bring it into that form.",
    ),
    (
        "customers",
        "    customers.birthday,\n",
        "    cast('2026-' || customers.customer_id as date) as birthday,\n",
        f"{SOURCES}/customers.sql: Postgres cannot read every row: invalid input syntax for type date: a value. Mend the "
        "expression, or leave such rows out.",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "line"), ROWS)
def test_rows_that_break_the_contract_are_counted(company: Company, name: str, old: str, new: str, line: str) -> None:
    company.change(name, old, new)
    assert company.problems() == [line]


DOUBTS = [
    (
        "customers",
        "    customers.email,\n",
        "    'Ana <' || customers.email || '>' as email,\n",
        f"{SOURCES}/customers.sql:7:42: 2 of 2 rows have a email that is not one bare address. Bring it into that form, or "
        "give null.",
    ),
    (
        "customers",
        "    customers.phone,\n",
        "    replace(customers.phone, '+336', '06') as phone,\n",
        f"{SOURCES}/customers.sql:8:47: 2 of 2 rows have a phone that is not E.164 such as +447700900123. Bring it into "
        "that form, or give null.",
    ),
    (
        "customers",
        "    customers.timezone,\n",
        "    'London' as timezone,\n",
        f"{SOURCES}/customers.sql:14:17: 2 of 2 rows have a timezone that is not an IANA name such as Europe/London. Bring "
        "it into that form, or give null.",
    ),
    (
        "customers",
        "    customers.locale,\n",
        "    'English' as locale,\n",
        f"{SOURCES}/customers.sql:13:18: 2 of 2 rows have a locale that is not BCP 47 such as en or pt-BR. Bring it into "
        "that form, or give null.",
    ),
    (
        "orders",
        "    orders.customer_id,\n",
        "    'C-' || orders.customer_id as customer_id,\n",
        f"{SOURCES}/orders.sql:6:35: 3 of 3 values of customer_id examined are not in source.customers. Leave such rows "
        "out, or map what is missing.",
    ),
    (
        "orders",
        "    orders.ordered_at,\n",
        "    orders.ordered_at + interval '100 years' as ordered_at,\n",
        f"{SOURCES}/orders.sql:7:49: 3 of 3 rows have a ordered_at in the future. They stay hidden until then; a plan is "
        "no time of knowledge.",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "line"), DOUBTS)
def test_what_only_costs_messages_is_a_warning(company: Company, name: str, old: str, new: str, line: str) -> None:
    company.change(name, old, new)
    assert company.problems() == []
    assert company.warnings() == [line]


def test_rows_that_a_loader_stamped_are_doubted(company: Company) -> None:
    assert company.warnings() == []
    for _ in range(source_checks.STAMPED_FROM):
        company.shop.order("ana", DAY)
    assert company.warnings() == [
        f"{SOURCES}/orders.sql:7:12: All 103 rows examined have the same ordered_at, as if a loader had stamped them. "
        "Take the time at which it happened in the shop."
    ]


# What it costs


@pytest.fixture
def many_orders(company: Company) -> Company:
    """More orders than are examined, one a minute, the newest of which have no shape of a currency."""
    company.shop.connection.execute(
        "insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency)"
        " select 'many-' || number, 'ana', timestamptz '2025-01-01' + number * interval '1 minute', 1000,"
        " case when number > 59990 then 'gbp' else 'GBP' end from generate_series(1, 60000) as many (number)"
    )
    company.shop.connection.execute("analyze imported.orders")
    return company


def test_of_a_large_source_the_newest_rows_are_examined_and_it_is_said(many_orders: Company) -> None:
    (problem,) = many_orders.problems()
    assert ": 10 of 10,000 rows have a currency" in problem
    assert many_orders.examined("orders") == "the newest 10,000 of about 60,003 rows"


def test_where_the_newest_rows_cost_too_much_the_first_are_examined(
    many_orders: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_checks, "MOST_COST", 10)
    assert many_orders.problems() == []
    assert many_orders.examined("orders") == "the first 10,000 of about 60,003 rows"


def test_a_question_that_takes_too_long_is_listed_and_left_open(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_checks, "TIMEOUT", "1s")
    company.change("orders", "from imported.orders as orders", "from imported.orders as orders, pg_sleep(5)")
    assert company.problems() == []
    assert company.warnings() == [
        f"{SOURCES}/orders.sql: It is not proven: Postgres needs more than 1s for 10,000 rows. Give your tables the "
        "indexes that docs/how-to/map-your-tables.md names."
    ]
    assert company.examined("orders") == ""


def test_references_that_take_too_long_leave_the_rest_proven(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_checks, "TIMEOUT", "1s")
    company.change(
        "customers", "from imported.customers as customers", "from imported.customers as customers, pg_sleep(5)"
    )
    assert [warning.partition(":")[2].partition(":")[0] for warning in company.warnings()] == [
        " It is not proven",
        " Its references are not proven",
    ]
    assert company.examined("orders") == "all 3 rows"


def test_the_proof_writes_nothing(company: Company) -> None:
    def footprint() -> Any:
        with database.transaction() as connection:
            return (
                database.driver(connection)
                .execute("select count(*), max(oid) from pg_class where relnamespace <> 'pg_toast'::regnamespace")
                .fetchall()
            )

    before = footprint()
    company.problems()
    assert footprint() == before


def test_every_kind_that_has_a_form_is_one_of_the_contract() -> None:
    assert set(source_checks.FORMS) <= set(contract.MEANINGS)


# The command


def test_the_command_prints_problems_and_warnings_and_what_was_examined(company: Company) -> None:
    company.project.sms_journey("hello")
    company.change("customers", "    customers.locale,\n", "    'English' as locale,\n")
    done = CliRunner().invoke(cli.cli, ["check"])
    assert done.exit_code == 0
    assert f"warning: {SOURCES}/customers.sql:13:18: 2 of 2 rows have a locale" in done.stdout
    assert f"{SOURCES}/orders.sql: proven (all 3 rows)" in done.stdout.splitlines()
    change(company.project, "orders", "    orders.currency,\n", "")
    done = CliRunner().invoke(cli.cli, ["check"])
    assert done.exit_code == 1
    assert f"{SOURCES}/orders.sql:4:1: The column currency is missing." in done.stdout


def test_the_check_of_one_journey_leaves_the_mapping_alone(company: Company) -> None:
    company.project.sms_journey("hello")
    (company.project.folder / SOURCES / "carts.sql").unlink()
    assert checks.report("hello").problems == []
    assert len(checks.report().problems) == 1


def test_the_proof_leaves_nothing_on_its_connection(company: Company) -> None:
    """Not the view it made, which a pooler would hand to somebody else: that would stand before a table of its name."""
    source_checks.proofs()
    with database.transaction() as connection:
        left = "select count(*) from pg_class where relnamespace = pg_my_temp_schema()"
        assert database.driver(connection).execute(left).fetchall() == [(0,)]
