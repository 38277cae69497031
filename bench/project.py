"""The project that is measured: the engine's own SQL and layouts, the ladder, and one letter to everybody."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
DAY = date(2026, 3, 31)
ZONE = "Europe/London"


def build(folder: Path) -> None:
    """Lay the project out as links: the checkout's files, and beside them the letter's."""
    for part in ("include/sql", "include/sql/journeys", "include/templates"):
        (folder / part).mkdir(parents=True)
        for source in (CHECKOUT / part, HERE / "project" / part):
            for path in source.iterdir():
                if path.name != "journeys" and not (folder / part / path.name).exists():
                    (folder / part / path.name).symlink_to(path)


def letter(holdout_percent: int = 0) -> Any:
    """One email to everybody."""
    from lifecycle.journey import Email, Journey, Step

    steps = [Step("letter", segment="everybody.sql", message=Email("letter"))]
    return Journey("letter", steps=steps, holdout_percent=holdout_percent)


def note() -> Any:
    """One SMS to everybody."""
    from lifecycle.journey import Journey, Sms, Step

    return Journey("letter", steps=[Step("note", segment="everybody.sql", message=Sms("note"))])


def ladder() -> Any:
    """The reactivation ladder; reading its Dag file would load Airflow into what is measured."""
    from lifecycle.journey import Goal, Journey, Sms, Step, Suppress, Voucher

    return Journey(
        "reactivation",
        goal=Goal("came_back.sql", within_days=14),
        steps=[
            Step("survey", segment="silent_30_days.sql", message=Sms("survey")),
            Step("contest", segment="silent_60_days.sql", message=Sms("contest")),
            Step("coupon", segment="silent_90_days.sql", message=Sms("coupon"), voucher=Voucher(15, 14)),
        ],
        ends_with=Suppress("never_clicked.sql", channel="sms", reason="sunset"),
    )


def funnel() -> Any:
    """The second mail after a purchase, which asks every recommendation file that ships."""
    from lifecycle.journey import Email, Journey, Step

    files = ("bought_together", "popular_in_category", "viewed_not_bought")
    message, said = Email("reviews"), ("happy_reviews",)
    return Journey(
        "post_purchase", steps=[Step("reviews", "reviews.sql", message, recommendations=files, reviews=said)]
    )


def context(journey: Any, day: date = DAY) -> Any:
    """The run of a journey for a day."""
    from lifecycle import runs

    return runs.for_day(journey, day, ZONE)
