"""A database that is lent again is as good as a fresh one, or it is not lent again."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import plain
from tests.databases import Databases
from tests.shop import Shop

# What a test may leave behind besides rows.
CHANGES = {
    "a table": "create table public.left_behind (id integer)",
    "a view": "create or replace view shop.orders as select * from imported.orders where false",
    "a function": "create or replace function public.as_of() returns timestamptz language sql as 'select now()'",
    "a right": "grant select on lifecycle.messages to public",
    "a trigger": "alter table lifecycle.points_entries disable trigger user",
    "an index": "drop index imported.orders_by_time",
    "a seed": "delete from lifecycle.phone_zones where ctid = (select min(ctid) from lifecycle.phone_zones)",
    "statistics": "insert into imported.products (product_id, name) values ('mug', 'Mug'); analyze imported.products",
}


def lent_and_left(lender: Databases, command: str) -> tuple[str, str]:
    """The database in which a command is left behind, and the next one."""
    with lender.lent() as first:
        execute(first, command)
    with lender.lent() as second:
        return first, second


def execute(url: str, command: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(command.encode())


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
def test_whatever_changed_but_rows_keeps_it_from_being_lent_again(lender: Databases, command: str) -> None:
    first, second = lent_and_left(lender, command)
    assert first != second


def test_rows_and_numbers_are_gone_when_it_is_lent_again(lender: Databases) -> None:
    view = "insert into imported.page_views (customer_id, url, viewed_at) values ('ana', '/', now()) returning page_view_id"
    with lender.lent() as url, psycopg.connect(plain(url), autocommit=True) as connection:
        Shop(connection).customer("ana")
        first = connection.execute(view.encode()).fetchall()
    with lender.lent() as again, psycopg.connect(plain(again), autocommit=True) as connection:
        assert again == url
        assert connection.execute("select count(*) from imported.page_views").fetchall() == [(0,)]
        assert connection.execute("select count(*) from imported.customers").fetchall() == [(0,)]
        Shop(connection).customer("ana")
        assert connection.execute(view.encode()).fetchall() == first


def test_whoever_is_still_connected_is_sent_away(lender: Databases) -> None:
    with lender.lent() as url:
        left = psycopg.connect(plain(url), autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        left.execute("select 1")
