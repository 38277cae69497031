"""What a value in a CSV file may look like: text, times, numbers and JSON, turned into what Postgres stores.

Every kind has a fast way for what files normally hold and explains itself only when a value is wrong: a good file costs
one regular expression per value, a bad one gets a sentence about what was probably meant.
"""

from __future__ import annotations

import difflib
import json
import re
import zoneinfo
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

FIRST_YEAR, LAST_YEAR = 1900, 2200
MAX_ID = 200
CACHED_VALUES = 50_000
_EXCEL_DAY_ZERO = date(1899, 12, 30)

_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)
_ANY_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<clock>\d\d:\d\d)(?P<seconds>:\d\d)?(?:\.(?P<fraction>\d{1,9}))?"
    r" ?(?P<offset>Z|z|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EXCEL_DAY = re.compile(r"[1-9]\d{4}(\.\d+)?", re.ASCII)
_EPOCH = re.compile(r"\d{10}(\d{3})?", re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})( .*)?", re.ASCII)
_AMOUNT = re.compile(r"-?\d{1,13}(\.\d{1,2})?", re.ASCII)
_RATE = re.compile(r"-?\d{1,13}(\.\d{1,6})?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,10}", re.ASCII)
SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE]\+?\d+", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", re.ASCII)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


class BadValue(ValueError):  # noqa: N818 - it describes the value, and reads so where it is caught
    """A value that does not fit its column: what is wrong with it and how to mend it."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what)


def shown(value: str) -> str:
    """The value as a person recognises it, in one line."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


# Text


def identifier(value: str) -> str:
    """An id: kept as it is, unless a spreadsheet has been at it."""
    if value != value.strip():
        raise BadValue(f"{shown(value)} has spaces around it", "Remove them, here and wherever the id is used")
    if len(value) > MAX_ID:
        raise BadValue(f"is {len(value)} characters long", f"An id has at most {MAX_ID}")
    if value[0].isdigit() and SCIENTIFIC.fullmatch(value) and "." in value:
        raise BadValue(f"{shown(value)} was rounded by a spreadsheet", "Export the column as text")
    return value


def free_text(value: str) -> str:
    """Any text."""
    return value


@lru_cache(CACHED_VALUES)
def currency(value: str) -> str:
    """Three capital letters."""
    if _CURRENCY.fullmatch(value):
        return value
    meant = value.strip().upper()
    hint = f"Write {meant!r}" if _CURRENCY.fullmatch(meant) else "Write three capital letters such as GBP"
    raise BadValue(f"{shown(value)} is no currency code", hint)


@lru_cache(CACHED_VALUES)
def locale(value: str) -> str:
    """A language, with a region where it matters; `pt_BR` is read as `pt-BR`."""
    if not _LOCALE.fullmatch(value):
        raise BadValue(f"{shown(value)} is no locale", "Write a language such as en, ja or pt-BR")
    return value.replace("_", "-")


@lru_cache(CACHED_VALUES)
def boolean(value: str) -> str:
    """True or false, in the words exports use."""
    word = value.lower()
    if word in _TRUE:
        return "true"
    if word in _FALSE:
        return "false"
    raise BadValue(f"{shown(value)} is neither true nor false", "Write true or false")


@lru_cache(1)
def _zones() -> frozenset[str]:
    # Names for whatever the machine is set to, which is no zone a customer lives in.
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


@lru_cache(CACHED_VALUES)
def zone(value: str) -> str:
    """The name of a time zone in the IANA database."""
    if value in _zones():
        return value
    close = difflib.get_close_matches(value, _zones(), 1, 0.75)
    hint = f"Write {close[0]!r}" if close else "Write an IANA name such as Europe/London"
    raise BadValue(f"{shown(value)} is no time zone", hint)


# Times


def moved_time(value: str, shift: timedelta) -> str:
    """A time with its offset, moved by `shift`."""
    moment = parse_time(value)
    return (moment + shift).isoformat() if shift else moment.isoformat()


def parse_time(value: str) -> datetime:
    """A point in time; one without offset from UTC is refused."""
    text = value if _PLAIN_TIME.fullmatch(value) else _plain_time(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(f"{shown(value)} does not exist", "Correct the day or the hour") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise _year_out_of_range(value, moment.year)
    return moment


def _plain_time(value: str) -> str:
    """The usual spellings in one: seconds, six digits of fraction, an offset with minutes."""
    match = _ANY_TIME.fullmatch(value)
    if not match or not match["offset"]:
        raise _not_a_time(value)
    fraction = f".{match['fraction'][:6]:0<6}" if match["fraction"] else ""
    return f"{match['day']}T{match['clock']}{match['seconds'] or ':00'}{fraction}{_plain_offset(match['offset'])}"


def _plain_offset(offset: str) -> str:
    digits = offset[1:].replace(":", "")
    return f"{offset[0]}{digits[:2]}:{digits[2:] or '00'}" if offset[0] in "+-" else "+00:00"


def calendar_date(value: str) -> str:
    """A day without a time."""
    if not _DATE.fullmatch(value):
        raise _not_a_date(value)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise BadValue(f"{shown(value)} does not exist", "Correct the day") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise _year_out_of_range(value, day.year)
    return value


def _year_out_of_range(value: str, year: int) -> BadValue:
    return BadValue(f"{shown(value)} is in the year {year}", f"Years from {FIRST_YEAR} to {LAST_YEAR} are accepted")


def _not_a_time(value: str) -> BadValue:
    example = "2026-02-01T09:30:00+00:00"
    match = _ANY_TIME.fullmatch(value)
    if match:
        return BadValue(f"{shown(value)} has no offset from UTC", f"Write it like {value.replace(' ', 'T')}+00:00")
    if _DATE.fullmatch(value):
        return BadValue(f"{shown(value)} is a date without a time", f"Write it like {value}T00:00:00+00:00")
    if _EPOCH.fullmatch(value):
        return BadValue(f"{shown(value)} looks like a count of seconds since 1970", f"Write it like {example}")
    return _not_iso(value, "time", example)


def _not_a_date(value: str) -> BadValue:
    if _ANY_TIME.fullmatch(value):
        return BadValue(f"{shown(value)} is a time, not a date", f"Write {value[:10]}")
    return _not_iso(value, "date", "1990-02-28")


def _not_iso(value: str, noun: str, example: str) -> BadValue:
    slashed = _SLASHED.fullmatch(value)
    if _EXCEL_DAY.fullmatch(value):
        meant = (_EXCEL_DAY_ZERO + timedelta(days=int(value[:5]))).isoformat()
        return BadValue(f"{shown(value)} is a spreadsheet's day number", f"It means {meant}; write it like {example}")
    if slashed:
        first, second, year = slashed[1], slashed[2], slashed[3]
        either = f"{year}-{second:0>2}-{first:0>2} or {year}-{first:0>2}-{second:0>2}"
        return BadValue(f"{shown(value)} may be {either}", f"Write the year first, like {example}")
    return BadValue(f"{shown(value)} is no {noun}", f"Write it like {example}")


# Numbers


def cents(value: str) -> int:
    """A decimal amount in hundredths, exact."""
    if not _AMOUNT.fullmatch(value):
        raise _not_an_amount(value, decimals=2)
    whole, _, fraction = value.partition(".")
    return int(f"{whole}{fraction:0<2}")


def rounded_cents(value: str) -> int:
    """A price per piece in hundredths; fractions of a cent are rounded half up."""
    if not _RATE.fullmatch(value):
        raise _not_an_amount(value, decimals=6)
    return int((Decimal(value) * 100).quantize(Decimal(1), ROUND_HALF_UP))


def integer(value: str) -> int:
    """A whole number that Postgres can hold."""
    if _INTEGER.fullmatch(value) and abs(int(value)) < 2**31:
        return int(value)
    if re.fullmatch(r"-?\d+\.0+", value):
        raise BadValue(f"{shown(value)} has decimals", f"Write {value.partition('.')[0]}")
    if re.fullmatch(r"-?[0-9]+", value):
        raise BadValue(f"{shown(value)} is too large", "The largest whole number is 2147483647")
    raise BadValue(f"{shown(value)} is no whole number", "Write digits only, such as 3")


def _not_an_amount(value: str, decimals: int) -> BadValue:
    if re.fullmatch(r"-?\d+\.\d+", value):
        return BadValue(f"{shown(value)} has more than {decimals} decimals", "Round it, or correct the amount")
    if SCIENTIFIC.fullmatch(value):
        return BadValue(f"{shown(value)} was rounded by a spreadsheet", "Export the column as plain numbers")
    if re.fullmatch(r"-?[0-9]{14,}", value):
        return BadValue(f"{shown(value)} is too large", "Amounts have at most 13 digits before the point")
    if re.fullmatch(r"-?[0-9.,' ]*[0-9][0-9.,' ]*", value):
        return BadValue(f"{shown(value)} is no plain decimal", f"Write it like {_plain_decimal(value)}")
    return BadValue(f"{shown(value)} is no amount", "Write a plain decimal such as 22.20")


def _plain_decimal(value: str) -> str:
    """`1.234,50`, `1,234.50` and `1 234,5` without thousands marks; the last mark before one or two digits counts."""
    match = re.fullmatch(r"(.*)[.,](\d{1,2})", value)
    whole, fraction = (match[1], f".{match[2]}") if match else (value, "")
    return (re.sub(r"[^\d-]", "", whole) or "0") + fraction


# JSON


def json_object(value: str) -> str:
    """A JSON object, as it is written."""
    if not isinstance(_json(value), dict):
        raise BadValue(f"{shown(value)} is no JSON object", 'Write it like {"colour": "red"}')
    return value


def json_list(value: str) -> str:
    """A JSON list, as it is written."""
    if not isinstance(_json(value), list):
        raise BadValue(f"{shown(value)} is no JSON list", 'Write it like [{"product_id": "P1", "quantity": 2}]')
    return value


def _json(value: str) -> object:
    try:
        parsed = json.loads(value, parse_constant=_no_constant)
        # What Postgres cannot keep: NUL and halves of a surrogate pair.
        json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise BadValue("is JSON nested too deeply", "Flatten it") from None
    except UnicodeEncodeError:
        raise BadValue(f"{shown(value)} holds half a surrogate pair", "Write the character itself") from None
    except ValueError as error:
        raise BadValue(f"{shown(value)} is no JSON: {error}", "Correct it; quotes inside CSV are doubled") from None
    if "\\u0000" in value:
        raise BadValue(f"{shown(value)} holds a NUL character", "Remove it")
    return parsed


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not allowed")
