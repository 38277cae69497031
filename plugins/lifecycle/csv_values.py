"""What a value in a CSV file may look like: each kind of the import contract turns text into what Postgres stores.

Every kind has a fast way for what files normally hold and explains itself only when a value is wrong: a good file costs
one regular expression per value, a bad one gets a sentence about what was probably meant.
"""

from __future__ import annotations

import difflib
import json
import re
import zoneinfo
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from lifecycle.contract import Column

Parse = Callable[[str], "str | None"]

FIRST_YEAR, LAST_YEAR = 1900, 2200
MAX_ID = 200
_CACHED_VALUES = 50_000
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
_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE]\+?\d+", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", re.ASCII)
_PLAIN_EMAIL = re.compile(r"([\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*)@([^@\s]+)", re.ASCII)
_PHONE_TEXT = re.compile(r"[+＋]?[\d\s().\-/‐-―－（）]+")
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


def parser(column: Column, shift: timedelta) -> Parse:
    """The function that reads the values of a column; times move by `shift`."""
    read = _reader(column, shift)
    if column.required:
        return _refusing_empty(read)
    return lambda value: read(value) if value else None


def _refusing_empty(read: Parse) -> Parse:
    def required(value: str) -> str | None:
        if not value:
            raise BadValue("is empty", "Every row needs a value here")
        return read(value)

    return required


def _reader(column: Column, shift: timedelta) -> Parse:
    if column.kind == "time":
        return lambda value: moved_time(value, shift)
    if column.kind in ("amount", "rate", "integer"):
        return lru_cache(_CACHED_VALUES)(_number_reader(column))
    return _READERS[column.kind]


def _number_reader(column: Column) -> Parse:
    read = {"amount": cents, "rate": rounded_cents, "integer": integer}[column.kind]

    def number(value: str) -> str:
        result = read(value)
        if column.minimum is not None and result < column.minimum * _unit(column):
            what = "is negative" if column.minimum == 0 else f"is below {column.minimum}"
            raise BadValue(f"{shown(value)} {what}", f"The smallest value here is {column.minimum}")
        if column.maximum is not None and result > column.maximum:
            raise BadValue(f"{shown(value)} is above {column.maximum}", f"The largest value here is {column.maximum}")
        return str(result)

    return number


def _unit(column: Column) -> int:
    return 1 if column.kind == "integer" else 100


# Text


def identifier(value: str) -> str:
    """An id: kept as it is, unless a spreadsheet has been at it."""
    if value != value.strip():
        raise BadValue(f"{shown(value)} has spaces around it", "Remove them, here and wherever the id is used")
    if len(value) > MAX_ID:
        raise BadValue(f"is {len(value)} characters long", f"An id has at most {MAX_ID}")
    if value[0].isdigit() and _SCIENTIFIC.fullmatch(value) and "." in value:
        raise BadValue(f"{shown(value)} was rounded by a spreadsheet", "Export the column as text")
    return value


def free_text(value: str) -> str:
    """Any text."""
    return value


@lru_cache(_CACHED_VALUES)
def currency(value: str) -> str:
    """Three capital letters."""
    if _CURRENCY.fullmatch(value):
        return value
    meant = value.strip().upper()
    hint = f"Write {meant!r}" if _CURRENCY.fullmatch(meant) else "Write three capital letters such as GBP"
    raise BadValue(f"{shown(value)} is no currency code", hint)


@lru_cache(_CACHED_VALUES)
def locale(value: str) -> str:
    """A language, with a region where it matters; `pt_BR` is read as `pt-BR`."""
    if not _LOCALE.fullmatch(value):
        raise BadValue(f"{shown(value)} is no locale", "Write a language such as en, ja or pt-BR")
    return value.replace("_", "-")


@lru_cache(_CACHED_VALUES)
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
    return frozenset(zoneinfo.available_timezones())


@lru_cache(_CACHED_VALUES)
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
    if _SCIENTIFIC.fullmatch(value):
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


# Addresses


def email(value: str) -> str:
    """One bare address, its domain in lower case and ASCII. No look-up is made."""
    match = _PLAIN_EMAIL.fullmatch(value)
    if not match or len(match[1]) > 64 or len(value) > 254:
        return _validated_email(value)
    try:
        return f"{match[1]}@{_email_domain(match[2])}"
    except BadValue:
        return _validated_email(value)


@lru_cache(_CACHED_VALUES)
def _email_domain(domain: str) -> str:
    return _validated_email(f"a@{domain}").partition("@")[2]


def _validated_email(value: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        address = validate_email(value, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        what = f"{shown(value)} is no email address: {str(error).rstrip('.')}"
        raise BadValue(what, "Write one bare address such as aiko@example.com, or leave it empty") from None
    return address.ascii_email or address.normalized


def phone(value: str, country: str | None) -> str:
    """A number in E.164. A national one is read as a number of `country`.

    An international number that is possible but not in use passes: countries reserve such ranges for fiction and tests.
    A national one does not, because a wrong guess of the country would make it another person's number.
    """
    import phonenumbers

    _refuse_spreadsheet_phone(value)
    region = None if value[0] in "+＋" else _region_for(value, country)
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        raise BadValue(f"{shown(value)} is no phone number", _PHONE_HINT) from None
    _refuse_unreachable(value, number)
    if region and not phonenumbers.is_valid_number(number):
        raise BadValue(f"{shown(value)} is no number in use in {country}", _PHONE_HINT)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_PHONE_HINT = "Write it like +447700900123, or leave it empty"


def _refuse_spreadsheet_phone(value: str) -> None:
    if value != value.strip():
        raise BadValue(f"{shown(value)} has spaces or line ends around it", "Remove them")
    if _SCIENTIFIC.fullmatch(value):
        raise BadValue(f"{shown(value)} was rounded by a spreadsheet", "Export the column as text: digits are lost")
    if re.fullmatch(r"[+\d]+[.,]\d", value):
        raise BadValue(f"{shown(value)} is a number with decimals", f"Export the column as text: {value[:-2]}")
    if re.search(r"[;,]|\d\s*(ext|x|#|доб|内線)", value, re.IGNORECASE):
        raise BadValue(f"{shown(value)} has an extension", "No SMS reaches an extension; leave it empty")
    if not _PHONE_TEXT.fullmatch(value):
        raise BadValue(f"{shown(value)} is no phone number", _PHONE_HINT)


def _region_for(value: str, country: str | None) -> str:
    region = region_of(country or "")
    if region:
        return region
    told = f"country {shown(country)} is not known" if country else "the row has no country"
    raise BadValue(f"{shown(value)} has no country code and {told}", "Write it like +447700900123")


_UNREACHABLE_TYPES = {
    1: "",
    3: "toll-free",
    4: "premium-rate",
    5: "shared-cost",
    8: "pager",
    9: "company",
    10: "voicemail",
}


def _refuse_unreachable(value: str, number: object) -> None:
    import phonenumbers
    from phonenumbers import PhoneNumber

    assert isinstance(number, PhoneNumber)
    if len(str(number.national_number)) <= 6:
        raise BadValue(f"{shown(value)} is a short code or too short", _PHONE_HINT)
    if not phonenumbers.is_possible_number(number):
        raise BadValue(f"{shown(value)} has the wrong length for its country", _PHONE_HINT)
    kind = _UNREACHABLE_TYPES.get(phonenumbers.number_type(number))
    if kind:
        raise BadValue(f"{shown(value)} is a {kind} number", "It is nobody's phone; leave it empty")


@lru_cache(_CACHED_VALUES)
def region_of(country: str) -> str | None:
    """The ISO code of a country given by code or by name, in the larger languages."""
    word = country.strip().casefold()
    return _regions().get(word)


_OTHER_COUNTRY_NAMES = {
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "usa": "US", "u.s.a.": "US", "america": "US", "united states of america": "US", "eire": "IE",
    "republic of ireland": "IE", "holland": "NL", "the netherlands": "NL", "czech republic": "CZ", "turkey": "TR",
    "rsa": "ZA", "uae": "AE", "hong kong": "HK", "macau": "MO", "korea": "KR", "republic of korea": "KR",
    "russian federation": "RU", "viet nam": "VN", "channel islands": "JE", "ivory coast": "CI", "burma": "MM",
}  # fmt: skip


@lru_cache(1)
def _regions() -> dict[str, str]:
    from babel import Locale
    from phonenumbers import SUPPORTED_REGIONS

    regions = {code.casefold(): code for code in SUPPORTED_REGIONS}
    for language in ("en", "fr", "de", "es", "it", "nl", "pt", "ja"):
        for code, name in Locale(language).territories.items():
            if code in SUPPORTED_REGIONS:
                regions.setdefault(name.casefold(), code)
    return regions | _OTHER_COUNTRY_NAMES


_READERS: dict[str, Parse] = {
    "id": identifier,
    "text": free_text,
    "date": calendar_date,
    "boolean": boolean,
    "json_list": json_list,
    "json_object": json_object,
    "email": email,
    # The customer's country is needed too, so the import finishes phones once it has the whole row.
    "phone": free_text,
    "zone": zone,
    "locale": locale,
    "currency": currency,
}
