"""Vouchers: one per message, hard to mistake, and good through the last second of the day the message names."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.lifecycle.test_delivery import Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk

from lifecycle import vouchers

LONDON = ZoneInfo("Europe/London")


def test_a_voucher_is_good_through_the_last_second_of_its_last_day(desk: Desk) -> None:
    desk.plan()
    desk.send(ScriptedProvider())
    ((valid_from, valid_until),) = set(desk.all("select valid_from, valid_until from lifecycle.vouchers"))
    assert valid_from.astimezone(LONDON) == datetime(2026, 3, 31, tzinfo=LONDON)
    assert valid_until.astimezone(LONDON) == datetime(2026, 4, 8, tzinfo=LONDON) - timedelta(seconds=1)


def test_codes_have_no_letters_that_are_mistaken_for_others() -> None:
    codes = {vouchers.new_code() for _ in range(500)}
    assert len(codes) == 500
    assert not set("".join(codes)) & set("0O1I2Z5S8B")
    assert all(len(code) == 11 and code[5] == "-" for code in codes)
