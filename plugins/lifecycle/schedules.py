"""Schedules: on which local days a cron line runs a journey."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

from lifecycle.as_of import zone_named
from lifecycle.errors import LifecycleError


def check(cron: str) -> None:
    """Refuse a cron line that is none, or that never comes.

    Raises:
        LifecycleError: with what is wrong.
    """
    from croniter import CroniterBadDateError, croniter
    from croniter.croniter import CroniterError

    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=timezone.utc)).get_next(datetime)
    except CroniterBadDateError:
        raise LifecycleError(f"The schedule {cron!r} never comes", hint="Give a day that exists") from None
    except (CroniterError, ValueError, KeyError) as error:
        raise LifecycleError(
            f"The schedule {cron!r} is no cron line: {error}", hint='Use daily("10:00", tz=...)'
        ) from None


def daily_cron(at: str) -> str:
    """The cron line of a local wall time such as `10:00`, every day.

    Raises:
        LifecycleError: it is no time of day.
    """
    hour, _, minute = at.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise LifecycleError(f"daily({at!r}) is not a time of day", hint='Write it as daily("10:00", tz=...)')
    return f"{int(minute)} {int(hour)} * * *"


def every_cron(minutes: int) -> str:
    """The cron line of every few minutes, counted from the full hour.

    Raises:
        LifecycleError: they do not divide an hour.
    """
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= 30 or 60 % minutes:
        hint = "Give 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30"
        raise LifecycleError(f"every(minutes={minutes!r}) does not divide an hour", hint=hint)
    return f"*/{minutes} * * * *"


def run_days(cron: str, first: date, last: date) -> list[date]:
    """The local days from first to last that the cron line comes on; none without a cron line."""
    if not cron:
        return []
    if cron.split()[2:] == ["*", "*", "*"]:
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]
    from croniter import croniter

    moments = croniter(cron, datetime.combine(first, time()) - timedelta(seconds=1))
    days: list[date] = []
    while (day := moments.get_next(datetime).date()) <= last:
        if not days or days[-1] != day:
            days.append(day)
    return days


def last_run_day(cron: str, zone: str, now: datetime) -> date:
    """The local day of the last moment of the schedule that has come by `now`."""
    from croniter import croniter

    wall = now.astimezone(zone_named(zone)).replace(tzinfo=None)
    return croniter(cron, wall + timedelta(seconds=1)).get_prev(datetime).date()
