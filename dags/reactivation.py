"""# Reactivation ladder

Wins back customers who went silent: a survey on day 30, a contest on day 60, a coupon on day 90 (J-10).
An order, a visit or a click ends the ladder. Whoever never clicked stops receiving marketing SMS.

People who were past day 30 when the ladder is switched on are left out and listed as `past_entry` (A-4); see them
first with `lifecycle plan reactivation`.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Goal, Journey, Sms, Step, Suppress, Voucher, add_tasks, daily

journey = Journey(
    name="reactivation",
    goal=Goal("came_back.sql", within_days=14),
    steps=[
        Step("survey", segment="silent_30_days.sql", message=Sms("survey")),
        Step("contest", segment="silent_60_days.sql", message=Sms("contest")),
        Step(
            "coupon",
            segment="silent_90_days.sql",
            message=Sms("coupon"),
            voucher=Voucher(percent_off=15, valid_days=14),
        ),
    ],
    ends_with=Suppress("never_clicked.sql", channel="sms", reason="sunset"),
)

with DAG(
    journey.name,
    schedule=daily("10:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
