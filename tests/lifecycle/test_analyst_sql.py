"""SQL that analysts write: what is refused, on which line and with which hint, and what the reader's role cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import plain
from tests.shop import Shop

from lifecycle import database
from lifecycle.analyst_sql import AnalystSql
from lifecycle.errors import LifecycleError

PICKED = "select customer_id, 'a' as anchor from shop.customers"


@pytest.fixture(scope="module", autouse=True)
def aiko(database_url: str) -> None:
    """A shop with one customer."""
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        Shop(connection).customer("aiko", first_name="Aiko", locale="50% off")
        connection.execute("create function public.stable_word() returns text stable language sql return 'word'")
        connection.execute("create function public.acting_word() returns text volatile language sql return 'word'")
        connection.execute(
            "create function public.delete_everybody() returns integer volatile language plpgsql "
            "as $$ begin delete from imported.customers; return 1; end $$"
        )


@pytest.fixture
def connection(database_url: str) -> Iterator[Any]:
    """A transaction of the engine."""
    with database.transaction() as connection:
        rehearsal = connection.begin_nested()
        yield connection
        rehearsal.rollback()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file under test lies; errors name it as seen from there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file_of(folder: Path, text: str | bytes, kind: str = "audience") -> AnalystSql:
    """A file with that text."""
    path = folder / "who.sql"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return AnalystSql(path, kind)


def rows_of(connection: Any, file: AnalystSql) -> list[tuple[Any, ...]]:
    """Everything a checked file returns."""
    file.checked_columns(connection)
    return list(file.stream(connection))


ACCEPTED = {
    "a plain select": PICKED,
    "a closing semicolon": f"{PICKED};",
    "two closing semicolons": f"{PICKED} ; ;\n",
    "a comment on the last line": f"{PICKED} -- everybody",
    "a comment after the semicolon": f"{PICKED}; -- everybody\n/* really */",
    "blank lines and a comment before": f"\n\n-- who\n{PICKED}",
    "a byte order mark": b"\xef\xbb\xbf" + PICKED.encode(),
    "lines that end as on Windows": f"-- who\r\n{PICKED}\r\n".encode(),
    "a percent sign": f"{PICKED} where locale like '50%'",
    "a percent sign that looks like a parameter": f"{PICKED} where locale <> '%s %(name)s'",
    "a colon that looks like a parameter": f"{PICKED} where locale <> ':name'",
    "a cast": f"{PICKED} where signed_up_at < '2026-01-01'::timestamptz",
    "words of the clock inside a string": f"{PICKED} where locale <> 'now() random() delete'",
    "words of the clock as names": "select customer_id, 'a' as anchor, 1 as \"now\" from shop.customers",
    "a common table expression": f"with people as ({PICKED}) select people.customer_id, people.anchor from people",
    "a union": f"{PICKED} union all select customer_id, 'b' from shop.orders",
    "as_of()": f"{PICKED} where signed_up_at < as_of() - interval '30 days'",
    "count(*)": "select customer_id, count(*)::text as anchor from shop.customers group by customer_id",
    "generate_series": "select g::text as customer_id, 'a' as anchor from generate_series(1, 1) as g",
    "a number as customer_id": "select 7 as customer_id, 1 as anchor",
    "a uuid as customer_id": "select 'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid as customer_id, 'a' as anchor",
    "a function of our own that only reads": f"{PICKED} where stable_word() = 'word'",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_it_is_accepted(connection: Any, folder: Path, text: str | bytes) -> None:
    assert len(rows_of(connection, file_of(folder, text))) == 1


def test_ids_of_any_type_become_text(connection: Any, folder: Path) -> None:
    file = file_of(folder, "select 7 as customer_id, 1 as anchor, 5 as points")
    assert rows_of(connection, file) == [("7", "1", {"points": 5})]


ONE_SELECT = "A segment only reads: write one SELECT."
REFUSED = {
    "two statements": (f"{PICKED};\n\n{PICKED}", "who.sql:3: The file holds 2 statements. Keep exactly one SELECT."),
    "an update": ("-- x\nupdate shop.orders set total_cents = 0", f"who.sql:2: The statement is UPDATE, not SELECT. {ONE_SELECT}"),
    "an insert": ("insert into shop.orders values (1)", f"who.sql:1: The statement is INSERT, not SELECT. {ONE_SELECT}"),
    "a delete": ("delete from shop.orders", f"who.sql:1: The statement is DELETE, not SELECT. {ONE_SELECT}"),
    "commit": ("commit", f"who.sql:1: The statement is COMMIT, not SELECT. {ONE_SELECT}"),
    "set": ("set role none", f"who.sql:1: The statement is SET, not SELECT. {ONE_SELECT}"),
    "copy": ("copy shop.orders to program 'id'", f"who.sql:1: The statement is COPY, not SELECT. {ONE_SELECT}"),
    "call": ("call something()", "not SELECT"),
    "do": ("do $$ begin end $$", "who.sql:1: "),
    "commit behind a select": (f"{PICKED};\ncommit", "who.sql:2: The file holds 2 statements"),
    "a delete in a common table expression": (
        f"with gone as (\n    delete from shop.orders returning customer_id\n)\n{PICKED}",
        "who.sql:2:",
    ),
    "select into": ("select customer_id, 'a' as anchor\ninto gone from shop.customers", "INTO writes or locks"),
    "for update": (f"{PICKED}\nfor update", "LOCK writes or locks"),
    "now()": (
        f"{PICKED}\nwhere signed_up_at < now()",
        "who.sql:2:22: now reads the clock, so a past day could not be repeated. Write as_of() instead.",
    ),
    "now() spelled apart": (f"{PICKED}\nwhere signed_up_at < NOW /* x */ ( )", "who.sql:2:22: now reads the clock"),
    "now() in quotes": (f'{PICKED} where signed_up_at < "now"()', "now reads the clock"),
    "current_date": (f"{PICKED}\n  where signed_up_at < current_date", "who.sql:2:24: current_date reads the clock"),
    "localtimestamp": (f"{PICKED} where signed_up_at < localtimestamp", "localtimestamp reads the clock"),
    "clock_timestamp()": (f"{PICKED} where signed_up_at < clock_timestamp()", "clock_timestamp reads the clock"),
    "random()": (
        f"{PICKED}\norder by random()",
        "who.sql:2:10: random() answers differently each time. Order or hash by customer_id instead.",
    ),
    "pg_sleep": (
        f"{PICKED}\nwhere pg_sleep(9) is null",
        "who.sql:2:7: pg_sleep() is not for segments. Read shop.* views and use plain expressions.",
    ),
    "set_config": (f"{PICKED} where set_config('role', 'none', true) = ''", "set_config() is not for segments"),
    "set_config in quotes": (f"{PICKED} where \"set_config\"('role', 'none', true) = ''", "set_config() is not for"),
    "set_config of pg_catalog": (f"{PICKED} where pg_catalog.set_config('role', 'none', true) = ''", "set_config() is"),
    "set_config in escapes": (
        f"{PICKED} where U&\"set\\005fconfig\"('role', 'none', true) = ''",
        'U&"..." hides what it names. Write the name itself.',
    ),
    "nextval": ("select nextval('x') as customer_id, 'a' as anchor", "nextval() is not for segments"),
    "a query in a string": (
        f"{PICKED}\nwhere query_to_xml_and_xmlschema('select 1', true, true, '') is null",
        "who.sql:2:7: query_to_xml_and_xmlschema() is volatile. Read shop.* views and use plain expressions;",
    ),
    "a volatile function of our own": (
        f"{PICKED}\nwhere acting_word() = ''",
        "who.sql:2:7: acting_word() is volatile. Read shop.* views and use plain expressions; "
        "a function of your own must be declared stable.",
    ),
    "select *": ("select *\nfrom shop.customers", "who.sql:1:8: select * hides which columns are used. Name the columns."),
    "select table.*": ("select c.*\nfrom shop.customers as c", "select * hides which columns are used"),
    "no customer_id": (
        "select customerid, 'a' as anchor from shop.customers",
        "who.sql: The column customer_id is missing. Name it in the select list. Did you mean 'customerid'.",
    ),
    "no anchor": (
        "select customer_id from shop.customers",
        "who.sql: The column anchor is missing. Name it in the select list. Known: customer_id.",
    ),
    "a customer_id in capitals": (
        'select customer_id as "Customer_ID", 1 as anchor from shop.customers',
        "The column customer_id is missing. Name it in the select list. Did you mean 'Customer_ID'.",
    ),
    "a column twice": (
        "select customer_id, 'a' as anchor, 1 as points, 2 as points from shop.customers",
        "who.sql: The column points appears twice. Give every column its own name.",
    ),
    "a column without a name": (
        "select customer_id, 'a' as anchor, 1 + 1 from shop.customers",
        "who.sql: Column 3 has no name. Name it, as in count(*) as orders.",
    ),
    "a table nobody knows": (
        "select customer_id, 'a' as anchor\nfrom shop.custmers",
        'who.sql:2:6: Postgres says: relation "shop.custmers" does not exist.',
    ),
    "a column nobody knows": (
        "\n\nselect\n    customer_id,\n    'a' as anchor,\n    frist_name\nfrom shop.customers",
        'who.sql:6:5: Postgres says: column "frist_name" does not exist. '
        'Perhaps you meant to reference the column "customers.first_name".',
    ),
    "a type that does not fit": (f"{PICKED}\nwhere signed_up_at > 5", "who.sql:2:20: Postgres says: operator does not exist"),
    "imported tables": (
        "select customer_id, 'a' as anchor\nfrom imported.customers",
        "who.sql:2:6: imported.customers is not part of the contract. Read shop.* views only, such as shop.customers.",
    ),
    "tables of the engine": (
        "select customer_id, 'a' as anchor from lifecycle.messages",
        "lifecycle.messages is not part of the contract",
    ),
    "a table without a schema": (
        "select customer_id, 'a' as anchor from customers",
        "customers is not part of the contract. Read shop.* views only, such as shop.customers.",
    ),
    "Jinja": (f"{PICKED}\nwhere signed_up_at < '{{{{ ds }}}}'", "who.sql:2: Jinja in SQL is not rendered. Use as_of()"),
    "a Jinja block": (f"{PICKED}\n-- {{% if x %}}", "who.sql:2: Jinja in SQL is not rendered"),
    "nothing": ("", "who.sql: The file holds no statement. Write one SELECT."),
    "only comments": ("-- later\n/* maybe */", "who.sql: The file holds no statement. Write one SELECT."),
    "only a semicolon": (";", "who.sql: The file holds no statement. Write one SELECT."),
    "a quote that is never closed": (f"{PICKED} where locale = 'x", "who.sql: A quote or comment is never closed."),
    "a comment that is never closed": (f"{PICKED} /* x", "who.sql:"),
    "nonsense": ("select customer_id,, 'a' as anchor from shop.customers", "who.sql:1:"),
    "UTF-16": (PICKED.encode("utf-16"), "who.sql: The file is UTF-16 or binary. Save it as UTF-8."),
    "UTF-16 without a mark": (PICKED.encode("utf-16-le"), "who.sql: The file is UTF-16 or binary. Save it as UTF-8."),
    "Latin-1": (f"-- ok\n-- caf\xe9\n{PICKED}".encode("latin-1"), "who.sql:2: The file is not UTF-8. Save it as UTF-8."),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_in_one_line(connection: Any, folder: Path, text: str | bytes, line: str) -> None:
    with pytest.raises(LifecycleError) as error:
        file_of(folder, text).checked_columns(connection)
    said = str(error.value)
    assert line in said
    assert said.startswith("who.sql:")
    assert "\n" not in said


def test_a_missing_file_is_one_line(connection: Any, folder: Path) -> None:
    with pytest.raises(LifecycleError, match=r"^who\.sql: The file does not exist\. Create it"):
        AnalystSql(Path("who.sql")).checked_columns(connection)


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        ("audience", "select null::text as customer_id, 'a' as anchor", "customer_id"),
        ("audience", "select 'x' as customer_id, null::text as anchor", "anchor"),
        ("end", "select null::text as customer_id, 'a' as anchor", "customer_id"),
        ("goal", "select 'x' as customer_id, 'a' as anchor, null::timestamptz as converted_at", "converted_at"),
    ],
)
def test_a_row_without_a_required_value_is_refused(
    connection: Any, folder: Path, kind: str, text: str, name: str
) -> None:
    with pytest.raises(LifecycleError, match=f"who.sql: A row has no {name}. Leave such rows out"):
        rows_of(connection, file_of(folder, text, kind))


def test_a_goal_needs_its_own_column(connection: Any, folder: Path) -> None:
    with pytest.raises(LifecycleError, match="The column converted_at is missing"):
        file_of(folder, PICKED, "goal").checked_columns(connection)


def test_an_error_in_a_late_row_is_one_line(connection: Any, folder: Path) -> None:
    file = file_of(folder, "select 1 / (9000 - g) as customer_id, 'a' as anchor from generate_series(1, 9000) as g")
    with pytest.raises(LifecycleError, match=r"^who\.sql: Postgres says: division by zero\."):
        rows_of(connection, file)


# What passes the parser in one way or another still meets a role that may do nothing.
@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from imported.customers",
        "select count(*) from lifecycle.messages",
        "select count(*) from lifecycle.contacts",
        "select count(*) from source.customers",
        "select count(*) from public.lifecycle_migrations",
        "select count(*) from pg_authid",
        "select pg_read_file('postgresql.conf')",
        "update imported.customers set email = ''",
        "delete from shop.customers",
        "insert into lifecycle.suppressions values ('sms', '', 'x', 'x')",
        "create table public.mine (one integer)",
        "copy (select 1) to program 'id'",
        "alter role lifecycle_reader superuser",
    ],
)
def test_the_reader_may_neither_write_nor_read_past_the_contract(connection: Any, query: str) -> None:
    driver = database.driver(connection)
    refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
    with pytest.raises(refused), database.as_reader(connection):
        driver.execute(query.encode())


# Files that were never checked, so that the role and the way they run stand alone.
@pytest.mark.parametrize(
    "text",
    [
        "commit",
        "reset role",
        "set statement_timeout = 0",
        "set transaction read write",
        "with gone as (delete from imported.customers returning customer_id) select customer_id, 'a' as anchor from gone",
        *(
            f"select 1 as customer_id, 2 as anchor) as segment; {command}; select * from (select 1 as customer_id, 2 as anchor"
            for command in ("commit", "reset role", "delete from imported.customers", "set transaction read write")
        ),
        "select lo_export(1, '/tmp/x')::text as customer_id, 'a' as anchor",
        "select lo_creat(1)::text as customer_id, 'a' as anchor",
        "select lo_create(0)::text as customer_id, 'a' as anchor",
        "select pg_read_file('postgresql.conf') as customer_id, 'a' as anchor",
        "select set_config('transaction_read_only', 'off', true) as customer_id, 'a' as anchor",
        "select set_config('role', 'none', true) || delete_everybody()::text as customer_id, 'a' as anchor",
        "select set_config('role', 'none', true) || query_to_xml('delete from imported.customers', true, true, '')::text "
        "as customer_id, 'a' as anchor",
        "select set_config('role', 'none', true) || set_config('transaction_read_only', 'off', true) "
        "|| delete_everybody()::text as customer_id, 'a' as anchor",
        "select set_config('statement_timeout', '0', true) || pg_sleep(9)::text as customer_id, 'a' as anchor",
        "select 'x' as customer_id, pg_sleep(0.1)::text as anchor from generate_series(1, 90)",
    ],
)
def test_without_any_check_a_file_neither_writes_nor_commits_nor_stays(
    connection: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(database, "ANALYST_TIMEOUT", "300ms")
    driver = database.driver(connection)
    with pytest.raises(LifecycleError, match=r"^who\.sql:.* ?Postgres says: "):
        list(file_of(folder, text).stream(connection))
    # The transaction of the engine goes on as if nothing had been tried.
    assert driver.execute("select count(*) from imported.customers").fetchone() == (1,)
    assert driver.execute("show transaction_read_only").fetchone() == ("off",)
    assert driver.execute("select current_user <> 'lifecycle_reader'").fetchone() == (True,)
    assert driver.execute("show statement_timeout").fetchone() == ("0",)


def test_after_a_file_the_engine_writes_again(connection: Any, folder: Path) -> None:
    driver = database.driver(connection)
    rows = file_of(folder, PICKED).stream(connection)
    assert next(rows)[0] == "aiko"
    driver.execute("create temporary table written (one integer)")
    driver.execute("insert into lifecycle.suppressions values ('sms', '', 'x', 'x')")
    assert list(rows) == []


def test_the_reader_reads_every_view_of_the_contract(connection: Any) -> None:
    driver = database.driver(connection)
    views = driver.execute("select viewname from pg_views where schemaname = 'shop'").fetchall()
    assert len(views) >= 15
    with database.as_reader(connection):
        for (view,) in views:
            driver.execute(f"select * from shop.{view} limit 1".encode())


def test_the_rows_are_computed_as_the_reader_too(connection: Any, folder: Path) -> None:
    file = file_of(folder, "select current_user as customer_id, 'a' as anchor")
    assert [row[0] for row in file.stream(connection)] == ["lifecycle_reader"]
    # Between the chunks the engine has its own role back.
    assert database.driver(connection).execute("select current_user <> 'lifecycle_reader'").fetchone() == (True,)


def test_a_query_inside_a_function_cannot_read_past_the_contract(connection: Any, folder: Path) -> None:
    hidden = "table_to_xml('imported.customers', true, true, '')::text"
    file = file_of(folder, f"select {hidden} as customer_id, 'a' as anchor")
    with pytest.raises(LifecycleError, match="permission denied for schema imported"):
        rows_of(connection, file)


def test_a_file_that_runs_too_long_is_ended(connection: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ANALYST_TIMEOUT", "200ms")
    endless = "with recursive n as (select 1 as i union all select i + 1 from n) select i as customer_id, 'a' as anchor from n"
    file = file_of(folder, f"{endless} where i < 0")
    with pytest.raises(LifecycleError, match=r"^who\.sql: Postgres says: canceling statement due to statement timeout"):
        rows_of(connection, file)


def test_the_timeout_ends_with_the_file(connection: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ANALYST_TIMEOUT", "200ms")
    rows_of(connection, file_of(folder, PICKED))
    assert database.driver(connection).execute("show statement_timeout").fetchone() == ("0",)
