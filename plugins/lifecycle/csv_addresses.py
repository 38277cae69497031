"""Email addresses and phone numbers in a CSV file, checked and brought into the one spelling that is stored."""

from __future__ import annotations

import re
from functools import lru_cache

from lifecycle import settings
from lifecycle.csv_values import CACHED_VALUES, SCIENTIFIC, BadValue, shown

_PLAIN_EMAIL = re.compile(r"([\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*)@([^@\s]+)", re.ASCII)
_PHONE_TEXT = re.compile(r"[+＋]?[\d\s().\-/‐-―－（）]+")


# Reserved for documents and tests (RFC 2606, RFC 6761): fine in a sandbox, and never anybody's mailbox.
_NOBODYS_DOMAIN = re.compile(r"(.+\.)?(example\.(com|net|org)|example|test|invalid|localhost)")


def email(value: str) -> str:
    """One bare address, its domain in lower case and ASCII. No look-up is made.

    Where real providers are spoken to, addresses of documents and tests are refused: each of them would bounce.
    """
    address = _bare_email(value)
    if settings.is_live() and _NOBODYS_DOMAIN.fullmatch(address.partition("@")[2]):
        raise BadValue(f"{shown(value)} is nobody's address", "Its domain is reserved for examples; leave it empty")
    return address


def _bare_email(value: str) -> str:
    match = _PLAIN_EMAIL.fullmatch(value)
    if not match or len(match[1]) > 64 or len(value) > 254:
        return _validated_email(value)
    try:
        return f"{match[1]}@{_email_domain(match[2])}"
    except BadValue:
        return _validated_email(value)


@lru_cache(CACHED_VALUES)
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
    if SCIENTIFIC.fullmatch(value):
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


@lru_cache(CACHED_VALUES)
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
