"""Voucher pools: imported all or nothing, and said to run out before they do."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.lifecycle.test_delivery import Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk
from tests.lifecycle.test_vouchers import give
from tests.shop import Shop

from lifecycle import cli, database, health, voucher_pools, vouchers
from lifecycle.errors import LifecycleError
from lifecycle.journey import Voucher

NOW = datetime.now(timezone.utc)
SPRING = Voucher(percent_off=15, valid_days=7, pool="spring")


def codes(folder: Path, *lines: str, header: str = "code") -> Path:
    """A file of codes."""
    file = folder / "codes.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return file


def draw(number: int, days_ago: float = 0, offer: Voucher = SPRING) -> None:
    """Give codes of a pool, as if so many days ago."""
    with database.transaction() as connection:
        for one in range(number):
            source = f"gift/{days_ago}/{one}"
            vouchers.issue_to(connection, offer, customer_id="ana", source=source, starts_at=NOW)
        given_at = NOW - timedelta(days=days_ago)
        database.driver(connection).execute(
            "update lifecycle.vouchers set given_at = %s where source like %s", (given_at, f"gift/{days_ago}/%")
        )


def test_a_pool_is_imported_and_given_in_order(shop: Shop, tmp_path: Path) -> None:
    """J-18: the shop system's own codes, each once."""
    assert voucher_pools.import_codes("spring", codes(tmp_path, "SPRING-1", "SPRING-2")) == 2
    assert voucher_pools.import_codes("spring", codes(tmp_path, "spring-3")) == 1
    draw(3)
    given = shop.connection.execute("select code from lifecycle.vouchers order by voucher_id").fetchall()
    assert given == [("SPRING-1",), ("SPRING-2",), ("spring-3",)]
    with pytest.raises(vouchers.NoVoucherLeftError, match="The voucher pool 'spring' has no code left"):
        draw(1, days_ago=1)


@pytest.mark.parametrize(
    ("lines", "header", "said"),
    [
        (["SPRING-1", "SPRING-2", "spring 1"], "code", "codes.csv:4: The code 'spring 1' stands in line 2 already, as"),
        (["SPRING-1", "SPRING-1"], "code", "codes.csv:3: The code 'SPRING-1' stands in line 2 already. Case, spaces"),
        (["SPRING-1", "abc"], "code", "codes.csv:3: 'abc' is no code. A code has 4 letters and digits at least"),
        (["SPRING-1", '""'], "code", "codes.csv:3: '' is no code."),
        (["SPRING-1", "x" * 65], "code", "codes.csv:3: 'xxxxx"),
        (["SPRING-1,9"], "code", "codes.csv:2: The row has 2 fields, the header has 1."),
        (["SPRING-1"], "coupon", "codes.csv:1: Column 'code' is missing."),
        ([], "code", "codes.csv: The file holds no code. Write one code a row"),
        (["NEW-1", "old-1"], "code", "codes.csv:3: The code 'old-1' is known already, in the pool autumn."),
    ],
)
def test_a_file_with_a_mistake_is_refused_whole_with_its_line(
    shop: Shop, tmp_path: Path, lines: list[str], header: str, said: str
) -> None:
    """J-18: all or nothing."""
    voucher_pools.import_codes("autumn", codes(tmp_path, "OLD-1"))
    with pytest.raises(LifecycleError) as refused:
        voucher_pools.import_codes("spring", codes(tmp_path, *lines, header=header))
    assert said in str(refused.value)
    assert shop.connection.execute("select pool, code from lifecycle.voucher_codes").fetchall() == [("autumn", "OLD-1")]


def test_a_code_that_was_generated_here_never_enters_a_pool(shop: Shop, tmp_path: Path) -> None:
    with database.transaction() as connection:
        offer = Voucher(percent_off=20, valid_days=30)
        given = vouchers.issue_to(connection, offer, customer_id="ana", source="redemption/1", starts_at=NOW)
    with pytest.raises(LifecycleError, match="is known already, as a voucher of ours"):
        voucher_pools.import_codes("spring", codes(tmp_path, "SPRING-1", given.code))
    with pytest.raises(LifecycleError, match="The voucher pool name 'Spring Sale' is not usable"):
        voucher_pools.import_codes("Spring Sale", codes(tmp_path, "SPRING-1"))
    with pytest.raises(LifecycleError, match="No such file"):
        voucher_pools.import_codes("spring", tmp_path / "nothing.csv")


def test_the_forecast_is_what_is_left_at_the_pace_of_the_last_fourteen_days(shop: Shop, tmp_path: Path) -> None:
    """J-18: 28 codes in 14 days are two a day."""
    voucher_pools.import_codes("spring", codes(tmp_path, *(f"SPRING-{number}" for number in range(100))))
    (unused,) = voucher_pools.listed(NOW)
    assert (unused.left, unused.given_lately, unused.days_left) == (100, 0, None)
    draw(10, days_ago=20)
    for days_ago in (13.99, 7, 1, 0.5):
        draw(7, days_ago=days_ago)
    (pool,) = voucher_pools.listed(NOW)
    # Those of 20 days ago count no more; 62 are left.
    assert (pool.imported, pool.left, pool.given_lately, pool.days_left) == (100, 62, 28, 30)
    assert voucher_pools.problems(NOW) == []


def test_a_pool_that_was_just_taken_into_use_is_measured_over_the_days_it_is(shop: Shop, tmp_path: Path) -> None:
    """J-18: forty a day leave one and a half days, whatever the fortnight before says."""
    voucher_pools.import_codes("spring", codes(tmp_path, *(f"SPRING-{number}" for number in range(100))))
    draw(40, days_ago=0.5)
    (problem,) = voucher_pools.problems(NOW)
    assert (problem.problem, problem.where) == ("few_vouchers_left", "spring")
    assert problem.why == "60 codes are left, 40 were given in 14 days: empty in 1 days"


def test_a_pool_that_a_journey_draws_from_is_missed_before_anybody_is_skipped(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J-18: never imported, then running out, then empty; and the daily look fails each time."""
    give(desk, 'Voucher(percent_off=15, valid_days=7, pool="spring")')
    (problem,) = voucher_pools.problems(NOW)
    assert (problem.problem, problem.why) == ("no_voucher_left", "no code was ever imported")
    voucher_pools.import_codes("spring", codes(tmp_path, *(f"SPRING-{number}" for number in range(10))))
    assert voucher_pools.problems(NOW) == []
    desk.plan()
    assert desk.send(ScriptedProvider()) == {"accepted": 3}
    assert [problem.problem for problem in health.problems(NOW) if problem.where == "spring"] == ["few_vouchers_left"]
    monkeypatch.setenv("LIFECYCLE_VOUCHER_POOL_DAYS", "2")
    assert voucher_pools.problems(NOW) == []
    monkeypatch.setenv("LIFECYCLE_VOUCHER_POOL_DAYS", "0")
    draw(7)
    (problem,) = voucher_pools.problems(NOW)
    assert (problem.problem, problem.why) == ("no_voucher_left", "no code is left")
    with pytest.raises(LifecycleError, match="spring: no_voucher_left, no code is left"):
        health.require(NOW)


def test_the_command_line_fills_and_lists_pools(shop: Shop, tmp_path: Path) -> None:
    """J-18: with what is left and the forecast."""
    file = codes(tmp_path, "SPRING-1", "SPRING-2", "SPRING-3", "SPRING-4")
    answer = CliRunner().invoke(cli.cli, ["voucher", "pool", "import", "spring", str(file)])
    assert answer.stdout == "imported 4 codes into spring\n"
    draw(2)
    (shown,) = json.loads(CliRunner().invoke(cli.cli, ["voucher", "pool", "list", "--format", "json"]).stdout)
    assert {name: shown[name] for name in ("pool", "imported", "left", "given_lately", "days_left")} == {
        "pool": "spring", "imported": 4, "left": 2, "given_lately": 2, "days_left": 1,
    }  # fmt: skip
