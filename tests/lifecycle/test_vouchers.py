"""Vouchers: one per message or fact, hard to mistake, and good through the last second that the message names."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some
from tests.lifecycle.test_delivery import DAY, Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk
from tests.shop import Shop

from lifecycle import cli, database, journeys, vouchers
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.errors import LifecycleError, TryAgainError
from lifecycle.journey import Voucher

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 3, 31, 12, 0, 7, 250_000, tzinfo=timezone.utc)
TWENTY_PERCENT = Voucher(percent_off=20, valid_days=30)


def test_a_voucher_is_good_through_the_last_second_of_its_last_day(desk: Desk) -> None:
    desk.plan()
    desk.send(ScriptedProvider())
    ((valid_from, valid_until),) = set(desk.all("select valid_from, valid_until from lifecycle.vouchers"))
    assert valid_from.astimezone(LONDON) == datetime(2026, 3, 31, tzinfo=LONDON)
    assert valid_until.astimezone(LONDON) == datetime(2026, 4, 8, tzinfo=LONDON) - timedelta(seconds=1)


def test_codes_have_no_letters_that_are_mistaken_for_others_and_spell_no_words() -> None:
    codes = {vouchers.new_code() for _ in range(500)}
    assert len(codes) == 500
    assert not set("".join(codes)) & set("0O1I2Z5S8B")
    assert not set("".join(codes)) & set("AEIOU")
    assert all([len(group) for group in code.split("-")] == [4, 4, 4] for code in codes)
    assert len(vouchers.LETTERS) ** 11 > 2**47


def test_the_check_letter_finds_every_wrong_letter_and_every_swap() -> None:
    """L-02: of a code, every single substitution and every exchange of two places, neighbours or not."""
    for _ in range(20):
        key = vouchers.code_key(vouchers.new_code())
        assert not vouchers.is_mistyped(key)
        for at, letter in itertools.product(range(len(key)), vouchers.LETTERS):
            wrong = key[:at] + letter + key[at + 1 :]
            assert vouchers.is_mistyped(wrong) == (wrong != key)
        for one, other in itertools.combinations(range(len(key)), 2):
            swapped = list(key)
            swapped[one], swapped[other] = key[other], key[one]
            assert vouchers.is_mistyped("".join(swapped)) == (key[one] != key[other])


@given(some.text(vouchers.LETTERS, min_size=11, max_size=11), some.integers(0, 11), some.sampled_from(vouchers.LETTERS))
def test_no_code_whatever_its_letters_has_a_neighbour_that_looks_right(letters: str, at: int, letter: str) -> None:
    """L-02: one wrong letter is never another code that could have been issued."""
    key = letters + vouchers.check_letter(letters)
    assert not vouchers.is_mistyped(key)
    wrong = key[:at] + letter + key[at + 1 :]
    assert vouchers.is_mistyped(wrong) == (wrong != key)


def test_what_a_customer_types_is_read_without_case_spaces_and_dashes() -> None:
    assert {vouchers.code_key(typed) for typed in ("CDFG-HJKL-MNPT", " cdfg hjkl mnpt ", "ＣＤＦＧ－hjkl‐mnpt")} == {
        "CDFGHJKLMNPT"
    }


def test_the_code_of_a_preview_can_never_be_issued() -> None:
    assert vouchers.is_mistyped(vouchers.code_key(vouchers.SAMPLE_CODE))


def issue_to(offer: Voucher = TWENTY_PERCENT, **changed: object) -> vouchers.IssuedVoucher:
    """A voucher for ana's redemption, or as told otherwise."""
    values = {"customer_id": "ana", "source": "redemption/1", "starts_at": NOON, **changed}
    with database.transaction() as connection:
        return vouchers.issue_to(connection, offer, **values)  # pyright: ignore[reportArgumentType]


def test_a_fact_gets_one_voucher_however_often_it_asks(shop: Shop) -> None:
    """L-02: 200 points are one code of 20 percent, also when the redemption is repeated."""
    first = issue_to()
    assert (first.percent_off, first.starts_at) == (20, NOON.replace(microsecond=0))
    assert issue_to() == first
    assert issue_to(starts_at=NOON + timedelta(days=3)) == first
    assert issue_to(source="redemption/2").code != first.code
    assert shop.connection.execute("select count(*) from lifecycle.vouchers").fetchall() == [(2,)]


def test_a_voucher_of_days_ends_with_the_last_second_of_a_local_day(shop: Shop) -> None:
    with database.transaction() as connection:
        database.set_as_of(connection, NOON, "Europe/London")
        ends = vouchers.issue_to(
            connection, TWENTY_PERCENT, customer_id="ana", source="redemption/1", starts_at=NOON
        ).expires_at
    assert ends == datetime(2026, 4, 30, 23, 59, 59, tzinfo=LONDON)


def test_a_voucher_of_hours_ends_to_the_second(shop: Shop) -> None:
    """L-03: 24 hours from the moment it is given, whatever the day."""
    given = issue_to(Voucher(percent_off=35, valid_for=timedelta(hours=24)))
    assert given.starts_at
    assert given.expires_at - given.starts_at == timedelta(hours=24)


@pytest.mark.parametrize(
    ("offer", "printed"),
    [
        (Voucher(amount_cents=500, currency="USD", valid_days=30), (None, "5 USD", None)),
        (Voucher(amount_cents=1250, currency="EUR", valid_days=30), (None, "12.50 EUR", None)),
        (Voucher(free_shipping=True, valid_days=30), (None, None, None)),
        (Voucher(gift="a tote bag", valid_days=30), (None, None, "a tote bag")),
    ],
)
def test_a_voucher_gives_what_was_declared(
    shop: Shop, offer: Voucher, printed: tuple[int | None, str | None, str | None]
) -> None:
    """L-05, F-05: percent, amounts, free shipping and gifts."""
    given = issue_to(offer)
    assert (given.percent_off, given.amount, given.gift) == printed
    assert shop.connection.execute("select kind from lifecycle.vouchers").fetchall() == [(offer.kind,)]


def test_a_fact_of_one_customer_never_gets_the_voucher_of_another(shop: Shop) -> None:
    issue_to()
    with pytest.raises(LifecycleError, match="is another customer's"):
        issue_to(customer_id="ben")
    with pytest.raises(LifecycleError, match="A voucher cannot be for 'message/1'"):
        issue_to(source="message/1")


def test_a_voucher_that_was_withdrawn_is_not_given_again(shop: Shop) -> None:
    issue_to()
    with database.transaction() as connection:
        assert vouchers.withdraw(connection, "redemption/1")
        assert not vouchers.withdraw(connection, "redemption/1")
    with pytest.raises(LifecycleError, match="was withdrawn"):
        issue_to()


def give(desk: Desk, declared: str) -> None:
    """Let the step of the desk give another voucher, as a Dag file declares it."""
    desk.project.sms_journey(
        sms="{{ voucher.code }} {{ voucher.expires_at | moment }} STOP", step=f", voucher={declared}"
    )
    desk.journey = journeys.load("hello").journey
    desk.step, desk.context = desk.journey.steps[0], desk.day(DAY)


def fill_pool(desk: Desk, codes: list[str], pool: str = "spring") -> None:
    """Codes of the shop system, as if imported."""
    for code in codes:
        desk.shop.connection.execute(
            "insert into lifecycle.voucher_codes (pool, code, code_key) values (%s, %s, %s)",
            (pool, code, vouchers.code_key(code)),
        )


def states(desk: Desk) -> list[tuple[str, str]]:
    """The customers of all vouchers with their states."""
    return [
        (one, other) for one, other in desk.all("select customer_id, state from lifecycle.voucher_states order by 1")
    ]


def test_a_birthday_code_lives_24_hours_from_the_moment_it_is_sent(desk: Desk) -> None:
    """L-03, J-15: a run at ten gives until ten the next day, not until midnight."""
    give(desk, "Voucher(percent_off=35, valid_for=pendulum.duration(hours=24))")
    desk.plan()
    desk.send(ScriptedProvider())
    found = desk.all("select valid_until - valid_from, extract(epoch from now() - valid_from) from lifecycle.vouchers")
    assert {lasts for lasts, _ in found} == {timedelta(hours=24)}
    assert all(0 <= since < 60 for _, since in found)


def test_the_hours_of_a_voucher_count_from_the_try_that_is_made(desk: Desk) -> None:
    """L-03: the provider asked to wait, and the person still gets the whole 24 hours."""
    give(desk, "Voucher(percent_off=35, valid_for=pendulum.duration(hours=24))")
    desk.plan()
    with pytest.raises(TryAgainError):
        desk.send(ScriptedProvider(Receipt("retry", http_status=429)))
    desk.execute(
        "update lifecycle.vouchers set valid_from = valid_from - interval '5 hours', "
        "valid_until = valid_until - interval '5 hours'"
    )
    before = set(desk.all("select code from lifecycle.vouchers"))
    desk.send(ScriptedProvider())
    assert set(desk.all("select code from lifecycle.vouchers")) == before
    assert desk.all("select count(*) from lifecycle.vouchers where valid_until > now() + interval '23 hours'") == [(3,)]


def test_a_voucher_is_reserved_before_the_send_and_issued_by_the_answer(desk: Desk) -> None:
    """J-15: the code is stored before a byte leaves."""
    give(desk, "Voucher(percent_off=15, valid_days=3650)")
    seen: list[list[tuple[str, str]]] = []

    def look(_: OutgoingSms) -> Receipt:
        seen.append(states(desk))
        return Receipt("accepted", provider_id="SM1", http_status=201)

    desk.plan()
    desk.send(ScriptedProvider(look))
    assert seen[0] == [("ana", "reserved"), ("ben", "reserved"), ("cleo", "reserved")]
    assert states(desk) == [("ana", "issued"), ("ben", "issued"), ("cleo", "issued")]


def test_a_message_that_is_refused_gives_its_code_back(desk: Desk) -> None:
    """J-18: the pool's code goes to the next person, and the refused message has none any more."""
    give(desk, 'Voucher(percent_off=15, valid_days=3650, pool="spring")')
    fill_pool(desk, ["SPRING-1", "SPRING-2", "SPRING-3"])
    desk.plan()
    desk.send(
        ScriptedProvider(
            lambda message: (
                Receipt("rejected", provider_code="21211")
                if message.to.endswith("1")
                else Receipt("accepted", provider_id="SM1", http_status=201)
            )
        )
    )
    assert states(desk) == [("ana", "released"), ("ben", "issued"), ("cleo", "issued")]
    given_back = desk.all("select code from lifecycle.voucher_codes where not is_taken")
    assert given_back == desk.all("select code from lifecycle.vouchers where customer_id = 'ana'")
    with database.transaction() as connection:
        offer = Voucher(percent_off=15, valid_days=7, pool="spring")
        again = vouchers.issue_to(connection, offer, customer_id="dan", source="gift/dan", starts_at=NOON)
    assert [(again.code,)] == given_back


def test_a_message_that_is_skipped_while_it_waits_gives_its_code_back(desk: Desk) -> None:
    """J-18: consent that was taken back between two tries releases the code of the first."""
    give(desk, "Voucher(percent_off=15, valid_days=3650)")
    desk.plan()
    with pytest.raises(TryAgainError):
        desk.send(ScriptedProvider(Receipt("retry", http_status=429)))
    desk.execute("update lifecycle.messages set retry_after = null")
    desk.execute(
        "insert into lifecycle.consents (customer_id, channel, is_granted, source) values ('ana', 'sms', false, 'test')"
    )
    desk.send(ScriptedProvider())
    assert states(desk) == [("ana", "released"), ("ben", "issued"), ("cleo", "issued")]


def test_an_empty_pool_skips_people_with_a_reason_and_loses_nobody(desk: Desk) -> None:
    """J-18: two codes for three people."""
    give(desk, 'Voucher(percent_off=15, valid_days=7, pool="spring")')
    fill_pool(desk, ["SPRING-1", "SPRING-2"])
    fill_pool(desk, ["AUTUMN-1"], pool="autumn")
    desk.plan()
    provider = ScriptedProvider()
    assert desk.send(provider) == {"accepted": 2, "skipped: no_voucher_left": 1}
    assert sorted(desk.states().values(), key=str) == [
        ("accepted", None),
        ("accepted", None),
        ("skipped", "no_voucher_left"),
    ]
    assert sorted(message.body.split()[0] for message in provider.received) == ["SPRING-1", "SPRING-2"]
    assert desk.all("select distinct outcome from lifecycle.attempts order by 1") == [("accepted",), ("skipped",)]


def test_many_senders_at_once_never_give_one_code_twice(desk: Desk) -> None:
    """J-18: four senders and forty people share thirty codes."""
    give(desk, 'Voucher(percent_off=15, valid_days=7, pool="spring")')
    for number in range(37):
        desk.shop.customer(f"more-{number}", phone=f"+336399900{number:02d}")
    fill_pool(desk, [f"SPRING-{number}" for number in range(30)])
    desk.plan()
    provider = ScriptedProvider()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda shard: desk.send(provider, shard=shard, shards=4), range(4)))
    codes = [message.body.split()[0] for message in provider.received]
    assert len(codes) == len(set(codes)) == 30
    assert desk.all("select count(*) from lifecycle.messages where reason = 'no_voucher_left'") == [(10,)]


def test_two_askers_at_once_leave_one_voucher_and_waste_no_code(desk: Desk) -> None:
    """L-02: the same redemption from two workers."""
    fill_pool(desk, ["SPRING-1", "SPRING-2"])
    offer = Voucher(percent_off=15, valid_days=7, pool="spring")
    start = threading.Barrier(2)

    def ask(_: int) -> str:
        with database.transaction() as connection:
            start.wait()
            given = vouchers.issue_to(connection, offer, customer_id="ana", source="redemption/1", starts_at=NOON)
            return given.code

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(ask, range(2)))) == 1
    assert desk.all("select count(*) from lifecycle.voucher_codes where not is_taken") == [(1,)]


# --- redemption -------------------------------------------------------------------------------------------------------


def redeem(code: str, order_id: str = "1001", at: datetime | None = NOON, customer_id: str | None = None) -> str:
    """The outcome of a code at the till."""
    with database.transaction() as connection:
        return vouchers.redeem(connection, code, order_id=order_id, at=at, customer_id=customer_id).outcome


def test_a_code_counts_for_one_order_and_says_so_as_often_as_it_is_asked(shop: Shop) -> None:
    """L-02: 20 percent of the next purchase, and of no other."""
    code = issue_to().code
    with database.transaction() as connection:
        first = vouchers.redeem(connection, code.lower().replace("-", " "), order_id="1001", at=NOON)
    assert (first.outcome, first.percent_off, first.redeemed_at) == ("redeemed", 20, NOON)
    with database.transaction() as connection:
        assert vouchers.redeem(connection, code, order_id="1001", at=NOON + timedelta(days=90)) == first
        other = vouchers.redeem(connection, code, order_id="1002", at=NOON)
    assert (other.outcome, other.redeemed_at) == ("used", None)
    assert shop.connection.execute("select order_id, redeemed_at from lifecycle.vouchers").fetchall() == [
        ("1001", NOON)
    ]


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(seconds=-1), "not_yet_valid"),
        (timedelta(0), "redeemed"),
        (timedelta(hours=24), "redeemed"),
        (timedelta(hours=24, milliseconds=999), "redeemed"),
        (timedelta(hours=24, seconds=1), "expired"),
    ],
)
def test_a_birthday_code_is_dead_one_second_after_24_hours(shop: Shop, after: timedelta, outcome: str) -> None:
    """L-03, J-15: 35 percent, only if used within 24 hours."""
    given = issue_to(Voucher(percent_off=35, valid_for=timedelta(hours=24)))
    assert given.starts_at
    assert redeem(given.code, at=given.starts_at + after) == outcome


def test_of_two_orders_that_race_for_a_code_one_wins(shop: Shop) -> None:
    """J-15: one use, however many tills ask at the same moment."""
    for round_number in range(10):
        code = issue_to(source=f"redemption/{round_number}").code
        start = threading.Barrier(4)

        def ask(order: int, code: str = code, start: threading.Barrier = start) -> str:
            start.wait()
            return redeem(code, order_id=f"order-{order}")

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(ask, range(4))) == ["redeemed", "used", "used", "used"]


def test_the_second_order_waits_for_the_first_one_to_decide(shop: Shop) -> None:
    """L-02: what was not committed yet cannot be used twice, and what was rolled back is free again."""
    code = issue_to().code
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as connection:
            assert vouchers.redeem(connection, code, order_id="1001", at=NOON).is_redeemed
            other = pool.submit(redeem, code, "1002")
            with pytest.raises(TimeoutError):
                other.result(timeout=0.5)
            connection.rollback()
        assert other.result(timeout=60) == "redeemed"
    assert redeem(code, "1001") == "used"


def test_a_code_that_was_mistyped_is_told_from_one_that_nobody_got(shop: Shop) -> None:
    """L-02: the customer is asked to look at it again, or told that it is none."""
    code = issue_to().code
    swapped = code[1] + code[0] + code[2:] if code[0] != code[1] else code[:-1] + ("C" if code[-1] != "C" else "D")
    assert redeem(swapped) == "mistyped"
    assert redeem("0" + code[1:]) == "mistyped"
    assert redeem(vouchers.new_code()) == "unknown"
    for nonsense in ("", "-", "SPRING-1", "x" * 100_000, "\0", "'; drop table lifecycle.vouchers"):
        assert redeem(nonsense) == "unknown"


def test_a_code_of_another_customer_and_one_that_was_taken_back_are_refused(shop: Shop) -> None:
    """J-18: a personal discount, where the shop says who asks."""
    code = issue_to().code
    assert redeem(code, customer_id="ben") == "not_theirs"
    with database.transaction() as connection:
        assert vouchers.withdraw(connection, "redemption/1")
    assert redeem(code, customer_id="ana") == "void"


def test_a_code_that_was_used_is_not_taken_back(shop: Shop) -> None:
    """L-02: a reversal that comes too late finds nothing to withdraw."""
    code = issue_to().code
    assert redeem(code) == "redeemed"
    with database.transaction() as connection:
        assert not vouchers.withdraw(connection, "redemption/1")
    assert redeem(code) == "redeemed"


@pytest.mark.parametrize("order_id", ["", "a\nb", "\0", "x" * 201])
def test_an_order_id_that_is_none_is_refused_before_the_code_is_used(shop: Shop, order_id: str) -> None:
    code = issue_to().code
    with pytest.raises(LifecycleError, match="The order id"):
        redeem(code, order_id=order_id)
    with pytest.raises(LifecycleError, match="has no offset"):
        redeem(code, at=NOON.replace(tzinfo=None))
    assert redeem(code) == "redeemed"


def test_a_code_can_be_used_while_its_answer_is_still_on_its_way(desk: Desk) -> None:
    """J-15: who has the code in hand is served, whatever the provider's answer to us says so far."""
    give(desk, "Voucher(percent_off=15, valid_days=3650)")
    outcomes: list[str] = []

    def shop_at_once(message: OutgoingSms) -> Receipt:
        outcomes.append(redeem(message.body.split()[0], at=None))
        return Receipt("rejected", provider_code="21211")

    desk.plan()
    desk.send(ScriptedProvider(shop_at_once))
    assert outcomes == ["redeemed"] * 3
    assert states(desk) == [("ana", "redeemed"), ("ben", "redeemed"), ("cleo", "redeemed")]


def test_the_command_line_redeems_and_shows(shop: Shop) -> None:
    """L-02: at a till without a checkout of its own."""
    code = issue_to(starts_at=datetime.now(timezone.utc) - timedelta(hours=1)).code
    used = CliRunner().invoke(cli.cli, ["voucher", "redeem", code, "--order", "1001", "--format", "json"])
    assert used.exit_code == 0, used.output
    assert json.loads(used.stdout)[0]["outcome"] == "redeemed"
    again = CliRunner().invoke(cli.cli, ["voucher", "redeem", code, "--order", "1002", "--format", "csv"])
    assert (again.exit_code, again.stdout.splitlines()[1].split(",")[0]) == (1, "used")
    assert "used for another order" in again.stderr
    (shown,) = json.loads(CliRunner().invoke(cli.cli, ["voucher", "show", code, "--format", "json"]).stdout)
    assert (shown["state"], shown["order_id"], shown["source"]) == ("redeemed", "1001", "redemption/1")
    late = ["voucher", "redeem", issue_to(source="redemption/2").code, "--order", "7", "--at", "2031-01-01T00:00:00Z"]
    assert CliRunner().invoke(cli.cli, late).exit_code == 1
