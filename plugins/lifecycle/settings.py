"""Every setting of the product, read from the environment in one place.

The table in `SETTINGS` is the documentation: `docs/reference/settings.md` is checked against it. A function reads its
variable when it is called, so a test or a child process can set it first.
"""

from __future__ import annotations

import os
import re
from datetime import time
from functools import lru_cache
from pathlib import Path

from lifecycle.errors import LifecycleError

_CHECKOUT = Path(__file__).resolve().parents[2]

SETTINGS: dict[str, str] = {
    "LIFECYCLE_HOME": "Folder for state: embedded Postgres, sandbox, logs, secret key. Default: .lifecycle/ in the project.",
    "LIFECYCLE_PROJECT": "Folder that holds dags/ and include/. Default: the checkout the engine was installed from.",
    "LIFECYCLE_DATABASE_URL": "Any Postgres 14+: postgresql://user:password@host:port/name. Default: embedded Postgres.",
    "LIFECYCLE_LIVE": "yes sends through the real providers. Anything else: the sandbox only.",
    "LIFECYCLE_SANDBOX_URL": "Where the sandbox answers. Default: the one started under LIFECYCLE_HOME.",
    "LIFECYCLE_PUBLIC_URL": "Address of the receiver as customers see it; links in messages start with it.",
    "LIFECYCLE_SENDGRID_WEBHOOK_KEYS": "Verification keys of SendGrid's event webhook, comma separated, newest first.",
    "LIFECYCLE_TWILIO_AUTH_TOKENS": "Auth tokens Twilio signs its callbacks with, comma separated, newest first.",
    "LIFECYCLE_VOUCHER_TOKENS": "Secrets that tills redeem vouchers with, comma separated, newest first. Default: no till may.",
    "LIFECYCLE_TRUSTED_PROXIES": "Addresses of proxies whose X-Forwarded-For is believed. Default: 127.0.0.1.",
    "LIFECYCLE_AIRFLOW_URL": "Where the Airflow that `lifecycle backfill` asks answers. Default: the one that runs here.",
    "LIFECYCLE_AIRFLOW_USER": "Who `lifecycle backfill` logs in as. Default: admin.",
    "LIFECYCLE_AIRFLOW_PASSWORD": "The password of that user.",
    "LIFECYCLE_SECRET_KEY": "Key that link codes and tokens are made with. Default: generated under LIFECYCLE_HOME.",
    "LIFECYCLE_TIMEZONE": "Time zone of the store; wins over the tz= of every journey's daily(). Default: what the Dag says.",
    "LIFECYCLE_SENDER_EMAIL": "From address of emails. Default: hello@shop.example.",
    "LIFECYCLE_SENDER_NAME": "Name the messages are signed with. Default: Our Shop.",
    "LIFECYCLE_SENDER_PHONE": "From number of SMS in E.164. Default: +15005550006.",
    "LIFECYCLE_POSTAL_ADDRESS": "Postal address printed under every marketing email.",
    "LIFECYCLE_SMS_CAP": "Most marketing SMS a person gets in so many days. Default: 4/30.",
    "LIFECYCLE_EMAIL_CAP": "Most marketing emails a person gets in so many days. Default: 12/30.",
    "LIFECYCLE_EMAIL_HOLD_MINUTES": "How long SendGrid keeps marketing emails back, so that they can be called back. Default: 0.",
    "LIFECYCLE_QUIET_HOURS": "When no marketing is sent, on each person's clock. Default: 21:00-08:00 when live, else off.",
    "LIFECYCLE_HOLDOUT_PERCENT": "Share of all customers who get no marketing at all, to measure it. Default: 0.",
    "LIFECYCLE_AUDIENCE_CAP": "Most people a step is sent to without a person's approval. Default: 100000.",
    "LIFECYCLE_SEGMENT_COST": "Highest cost Postgres may expect of a segment, in its own units. Default: 10000000.",
    "LIFECYCLE_APPROVAL_HOURS": "How long an unusual audience waits for a person; then it is not sent. Default: 12.",
    "LIFECYCLE_SOURCE_WAIT_HOURS": "How long a run waits in Airflow for a source that is late before it fails. Default: 4.",
    "LIFECYCLE_POINTS_PER_UNIT": "Points for one unit of money, such as 10 or 1.5. Default: 10.",
    "LIFECYCLE_POINTS_ROUNDING": "How points of an order or refund are rounded: down, nearest or up. Default: down.",
    "LIFECYCLE_POINTS_REFUNDS": "A refund takes all its points (allow_debt), or no more than there are (clamp). Default: allow_debt.",
    "LIFECYCLE_POINTS_EXPIRE_DAYS": "So many whole days after they were earned points expire; 0 is never. Default: 0.",
    "LIFECYCLE_REFERRAL_REFUND_DAYS": "So many days after a friend's order its referral is confirmed, if it stands. Default: 30.",
    "LIFECYCLE_REFERRAL_LEAST_ORDER": "What has to be left of a friend's order after refunds so that it counts. Default: 0.01.",
    "LIFECYCLE_REFERRAL_CREDIT": "Store credit for each confirmed friend, such as 5 USD, or off. Default: 5 USD.",
    "LIFECYCLE_REFERRAL_CASH_BACK": "Percent of each renewal of a friend's subscription that is paid back. Default: 20.",
    "LIFECYCLE_REFERRAL_FRIENDS": "So many confirmed friends make shipping free for life; 0 is never. Default: 20.",
    "LIFECYCLE_VOUCHER_POOL_DAYS": "A voucher pool that will be empty within so many days is a problem. Default: 7.",
    "LIFECYCLE_SMS_PER_SECOND": "Most SMS a second from the sender number: 1 long code, 3 toll-free. Default: no limit.",
    "LIFECYCLE_SMS_PART_CENTS": "Price of one SMS part in cents, for previews. Default: 5.",
    "LIFECYCLE_MMS_CENTS": "Price of one MMS, whatever its length, in cents, for previews. Default: 10.",
}

# SendGrid cancels until ten minutes before the time; a doubt lasts two minutes, and clocks differ.
LEAST_HOLD_MINUTES = 15
_LEAST_TOKEN_LETTERS = 24


def _read(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def project_root() -> Path:
    """The folder that holds `dags/`, `include/` and `plugins/`."""
    chosen = _read("LIFECYCLE_PROJECT")
    return _folder(chosen) if chosen else _CHECKOUT


def home() -> Path:
    """The folder the product keeps its state in; nothing is written outside it."""
    chosen = _read("LIFECYCLE_HOME")
    return _folder(chosen) if chosen else project_root() / ".lifecycle"


def _folder(chosen: str) -> Path:
    return _resolved(Path.cwd(), chosen)


@lru_cache(maxsize=8)
def _resolved(base: Path, chosen: str) -> Path:
    """Remembered: it asks the disk about every folder above, and every link of every message needs to know its home."""
    return (base / Path(chosen).expanduser()).resolve()


def sql_folder() -> Path:
    """Where every SQL statement lives."""
    return project_root() / "include" / "sql"


def templates_folder() -> Path:
    """Where every word of a message lives."""
    return project_root() / "include" / "templates"


def skeletons_folder() -> Path:
    """What new journeys and segments begin with; the checkout's own when the project has none."""
    folder = project_root() / "include" / "skeletons"
    return folder if folder.is_dir() else _CHECKOUT / "include" / "skeletons"


def dags_folder() -> Path:
    """Where every journey is declared."""
    return project_root() / "dags"


def database_url() -> str:
    """The configured database, or an empty string: then the embedded Postgres is meant."""
    return _read("LIFECYCLE_DATABASE_URL")


def is_live() -> bool:
    """Whether real providers may be spoken to (architecture §11)."""
    return _read("LIFECYCLE_LIVE").lower() == "yes"


def sandbox_url() -> str:
    """The configured sandbox address, or an empty string: then the one under LIFECYCLE_HOME is meant."""
    return _read("LIFECYCLE_SANDBOX_URL").rstrip("/")


def public_url() -> str:
    """Base of every link in a message, without a trailing slash; empty: the receiver under LIFECYCLE_HOME."""
    return _read("LIFECYCLE_PUBLIC_URL").rstrip("/")


def airflow_url() -> str:
    """Where Airflow's api-server answers, without a trailing slash; empty: the one under LIFECYCLE_HOME."""
    return _read("LIFECYCLE_AIRFLOW_URL").rstrip("/")


def airflow_user() -> str:
    """Who asks Airflow for backfills."""
    return _read("LIFECYCLE_AIRFLOW_USER", "admin")


def airflow_password() -> str:
    """The password of that user."""
    return _read("LIFECYCLE_AIRFLOW_PASSWORD")


def sendgrid_webhook_keys() -> tuple[str, ...]:
    """Public keys that SendGrid's event webhook is checked with, the newest first."""
    return _parts(_read("LIFECYCLE_SENDGRID_WEBHOOK_KEYS"))


def twilio_auth_tokens() -> tuple[str, ...]:
    """Secrets that Twilio's callbacks are checked with, the newest first."""
    return _parts(_read("LIFECYCLE_TWILIO_AUTH_TOKENS"))


def voucher_tokens() -> tuple[str, ...]:
    """Secrets that tills redeem vouchers with, the newest first; without any, no till may.

    Raises:
        LifecycleError: one is so short that it could be guessed.
    """
    tokens = _parts(_read("LIFECYCLE_VOUCHER_TOKENS"))
    if any(len(token) < _LEAST_TOKEN_LETTERS for token in tokens):
        hint = f"Give {_LEAST_TOKEN_LETTERS} letters at least: head -c 32 /dev/urandom | base64 | tr +/ -_"
        raise LifecycleError("LIFECYCLE_VOUCHER_TOKENS holds a token that is too short", hint=hint)
    return tokens


def voucher_pool_days() -> int:
    """How many days before a voucher pool is empty somebody is told; 0 only when it is."""
    return _whole_number("LIFECYCLE_VOUCHER_POOL_DAYS", _read("LIFECYCLE_VOUCHER_POOL_DAYS", "7"), 365)


def trusted_proxies() -> str:
    """Proxies that may say whose request it is, comma separated."""
    return _read("LIFECYCLE_TRUSTED_PROXIES", "127.0.0.1")


def secret_key() -> str:
    """The configured key, or an empty string: then the one under LIFECYCLE_HOME is meant."""
    return _read("LIFECYCLE_SECRET_KEY")


def store_timezone() -> str:
    """The store's zone when the environment fixes it, else an empty string."""
    return _read("LIFECYCLE_TIMEZONE")


def sender_email() -> str:
    """From address of emails."""
    return _read("LIFECYCLE_SENDER_EMAIL", "hello@shop.example")


def sender_name() -> str:
    """Name the messages are signed with."""
    return _read("LIFECYCLE_SENDER_NAME", "Our Shop")


def sender_phone() -> str:
    """From number of SMS in E.164; the default is Twilio's documented test number."""
    return _read("LIFECYCLE_SENDER_PHONE", "+15005550006")


def postal_address() -> str:
    """Postal address under every marketing email (H-08)."""
    return _read("LIFECYCLE_POSTAL_ADDRESS", "1 Market Street, London")


def sms_per_second() -> float | None:
    """Most SMS a second that the sending number may begin; None for no limit of ours."""
    text = _read("LIFECYCLE_SMS_PER_SECOND")
    if not text:
        return None
    if not text.replace(".", "", 1).isdecimal() or not 0.01 <= float(text) <= 10_000:
        hint = "Give a number such as 1 (long code), 3 (toll-free) or 100 (short code), or leave it empty"
        raise LifecycleError(f"LIFECYCLE_SMS_PER_SECOND is {text!r}", hint=hint)
    return float(text)


def sms_part_cents() -> int:
    """Price of one SMS part in cents (M-06)."""
    return _whole_number("LIFECYCLE_SMS_PART_CENTS", _read("LIFECYCLE_SMS_PART_CENTS", "5"), 10_000)


def mms_cents() -> int:
    """Price of one message with media in cents; it is not counted by parts."""
    return _whole_number("LIFECYCLE_MMS_CENTS", _read("LIFECYCLE_MMS_CENTS", "10"), 10_000)


def frequency_cap(channel: str) -> tuple[int, int]:
    """How many marketing messages of a channel a person gets at most, and in how many days."""
    name = "LIFECYCLE_SMS_CAP" if channel == "sms" else "LIFECYCLE_EMAIL_CAP"
    text = _read("LIFECYCLE_SMS_CAP", "4/30") if channel == "sms" else _read("LIFECYCLE_EMAIL_CAP", "12/30")
    messages, _, days = text.partition("/")
    return _whole_number(name, messages, 10_000), _whole_number(name, days, 3_660)


def email_hold_minutes() -> int:
    """How long SendGrid keeps marketing emails back; 0 sends them at once.

    Raises:
        LifecycleError: too short to call anything back, or longer than a day.
    """
    name = "LIFECYCLE_EMAIL_HOLD_MINUTES"
    minutes = _whole_number(name, _read("LIFECYCLE_EMAIL_HOLD_MINUTES", "0"), 1440)
    if 0 < minutes < LEAST_HOLD_MINUTES:
        raise LifecycleError(
            f"{name} is {minutes}", hint=f"Give at least {LEAST_HOLD_MINUTES}, better 60, or 0 to hold nothing"
        )
    return minutes


def quiet_hours() -> tuple[time, time] | None:
    """From and until when no marketing is sent, on each person's own clock; None when it may go at any hour.

    Raises:
        LifecycleError: they are no two different times of day.
    """
    text = _read("LIFECYCLE_QUIET_HOURS", "21:00-08:00" if is_live() else "off")
    if text == "off":
        return None
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", text):
        raise LifecycleError(f"LIFECYCLE_QUIET_HOURS is {text!r}", hint="Write it as 21:00-08:00, or off")
    first, last = (time.fromisoformat(part) for part in text.split("-"))
    if first == last:
        hint = "Leave an hour in which people may be written to; to stop everything, run: lifecycle pause"
        raise LifecycleError(f"LIFECYCLE_QUIET_HOURS is {text!r}, which covers the whole day", hint=hint)
    return first, last


def holdout_percent() -> int:
    """Share of all customers who get no marketing at all, in percent."""
    return _whole_number("LIFECYCLE_HOLDOUT_PERCENT", _read("LIFECYCLE_HOLDOUT_PERCENT", "0"), 50)


def audience_cap() -> int:
    """Most people a step is sent to without a person's approval, however usual it is."""
    return _whole_number("LIFECYCLE_AUDIENCE_CAP", _read("LIFECYCLE_AUDIENCE_CAP", "100000"), 2_000_000_000)


def segment_cost() -> int:
    """The highest cost that Postgres may expect of an analyst's file, in its own units."""
    return _whole_number("LIFECYCLE_SEGMENT_COST", _read("LIFECYCLE_SEGMENT_COST", "10000000"), 10**15)


def approval_hours() -> int:
    """How long an unusual audience waits for a person before it is not sent; a week at most."""
    hours = _whole_number("LIFECYCLE_APPROVAL_HOURS", _read("LIFECYCLE_APPROVAL_HOURS", "12"), 168)
    if not hours:
        raise LifecycleError("LIFECYCLE_APPROVAL_HOURS is 0", hint="Give at least 1 hour, or nobody can answer")
    return hours


def source_wait_hours() -> int:
    """How long a run waits for a source that is late; 0 fails at once, and a day is the most."""
    return _whole_number("LIFECYCLE_SOURCE_WAIT_HOURS", _read("LIFECYCLE_SOURCE_WAIT_HOURS", "4"), 24)


def points_per_unit() -> str:
    """What one unit of money is worth in points, as a decimal number."""
    text = _read("LIFECYCLE_POINTS_PER_UNIT", "10")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,4})?", text):
        raise LifecycleError(f"LIFECYCLE_POINTS_PER_UNIT is {text!r}", hint="Give a number such as 10 or 1.5")
    return text


def points_rounding() -> str:
    """How the points of one fact are rounded."""
    return _one_of("LIFECYCLE_POINTS_ROUNDING", _read("LIFECYCLE_POINTS_ROUNDING", "down"), "down", "nearest", "up")


def points_refunds() -> str:
    """What a refund does to somebody who used the points already."""
    return _one_of("LIFECYCLE_POINTS_REFUNDS", _read("LIFECYCLE_POINTS_REFUNDS", "allow_debt"), "allow_debt", "clamp")


def points_expire_days() -> int:
    """After how many whole days points expire; 0 is never."""
    return _whole_number("LIFECYCLE_POINTS_EXPIRE_DAYS", _read("LIFECYCLE_POINTS_EXPIRE_DAYS", "0"), 3660)


def referral_refund_days() -> int:
    """How many days of 24 hours a friend's order has to stand before anything is given for it."""
    name = "LIFECYCLE_REFERRAL_REFUND_DAYS"
    return _whole_number(name, _read("LIFECYCLE_REFERRAL_REFUND_DAYS", "30"), 365)


def referral_least_cents() -> int:
    """What has to be left of a friend's order, in hundredths, so that it counts; one at least."""
    text = _read("LIFECYCLE_REFERRAL_LEAST_ORDER", "0.01")
    found = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,2}))?", text)
    cents = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not cents:
        raise LifecycleError(f"LIFECYCLE_REFERRAL_LEAST_ORDER is {text!r}", hint="Give an amount such as 20 or 0.01")
    return cents


def referral_credit() -> tuple[int, str] | None:
    """Store credit for a confirmed friend: hundredths and currency; None for no credit."""
    text = _read("LIFECYCLE_REFERRAL_CREDIT", "5 USD")
    if text == "off":
        return None
    found = re.fullmatch(r"(\d{1,6})(?:\.(\d{1,2}))? ([A-Z]{3})", text)
    cents = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else 0
    if not found or not cents:
        raise LifecycleError(f"LIFECYCLE_REFERRAL_CREDIT is {text!r}", hint="Write it as 5 USD or 4.50 EUR, or off")
    return cents, found[3]


def referral_cash_back() -> int:
    """Which share of a renewal its referrer is owed, in percent."""
    return _whole_number("LIFECYCLE_REFERRAL_CASH_BACK", _read("LIFECYCLE_REFERRAL_CASH_BACK", "20"), 100)


def referral_friends() -> int:
    """How many confirmed friends make shipping free for life; 0 for never."""
    return _whole_number("LIFECYCLE_REFERRAL_FRIENDS", _read("LIFECYCLE_REFERRAL_FRIENDS", "20"), 100_000)


def _one_of(name: str, text: str, *known: str) -> str:
    """A setting that is one of some words."""
    if text not in known:
        raise LifecycleError(f"{name} is {text!r}", hint=f"Give one of: {', '.join(known)}")
    return text


def _whole_number(name: str, text: str, most: int) -> int:
    if not text.isdigit() or int(text) > most:
        raise LifecycleError(
            f"{name} is {_read(name)!r}", hint=f"Give whole numbers up to {most}, as its default shows"
        )
    return int(text)
