"""The instant a run answers for: local midnight that starts the run day, in the journey's zone (architecture §4)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle.errors import LifecycleError
from lifecycle.journey import unknown_name


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        LifecycleError: there is none; the nearest known name is suggested.
    """
    import zoneinfo

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise unknown_name("time zone", name, sorted(zoneinfo.available_timezones())) from None


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a local day.

    Where a clock change skips midnight the day starts at the first minute that exists; where midnight comes twice, at
    the first one.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone_named(zone))
    # A wall time inside a gap keeps the offset before the change, which is exactly the instant of the change.
    return local.astimezone(timezone.utc).astimezone(zone_named(zone))


def end_of(day: date, zone: str) -> datetime:
    """The first instant after a local day."""
    return midnight(day + timedelta(days=1), zone)


def tick_of(instant: datetime, tick: timedelta, zone: str) -> datetime:
    """The last moment of a schedule of every few minutes, counted from the full local hour, that an instant has reached."""
    local = instant.astimezone(zone_named(zone))
    beyond = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond) % tick
    return (instant.astimezone(timezone.utc) - beyond).astimezone(zone_named(zone))


def last_tick(day: date, tick: timedelta, zone: str) -> datetime:
    """The last moment of a local day in a schedule of every few minutes."""
    return tick_of(end_of(day, zone) - timedelta(microseconds=1), tick, zone)


def run_day(instant: datetime, zone: str) -> date:
    """The local day an instant belongs to."""
    return instant.astimezone(zone_named(zone)).date()


def parse_day(text: str) -> date:
    """A day as people type it, `2026-03-31`.

    Raises:
        LifecycleError: it is no such date, or in no year that a shop has to do with.
    """
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise LifecycleError(f"{text!r} is not a day", hint="Write it as 2026-03-31") from None
    if not 1970 <= day.year <= 2200:
        raise LifecycleError(f"{text!r} is too far away", hint="Give a day between 1970 and 2200")
    return day


def days_between(first: date, last: date) -> list[date]:
    """Every day from first to last, both included.

    Raises:
        LifecycleError: the range runs backwards or is longer than ten years.
    """
    count = (last - first).days + 1
    if count < 1:
        raise LifecycleError(f"The range {first} to {last} ends before it starts", hint="Swap --from and --to")
    if count > 3660:
        raise LifecycleError(f"The range {first} to {last} is {count} days long", hint="Ask for ten years at most")
    return [first + timedelta(days=number) for number in range(count)]
