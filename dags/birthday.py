"""# Birthday

On a birthday: 35 % off one order by email, for 24 hours from the moment it is sent, once a year (J-15, L-03). For the
customers' own birthdays, and for those of their children and whoever else they buy for. The day is that of the place where
the customer lives; 29 February is 28 February in other years.

A birthday that was told or changed less than 30 days ago earns nothing. Whoever has their own on the same day as a child
gets one email, about their own.

The segments ask for the date at nine o'clock: change the hour here and there together.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Goal, Journey, Step, Voucher, add_tasks, daily

present = Voucher(percent_off=35, valid_for=timedelta(hours=24))

journey = Journey(
    name="birthday",
    goal=Goal("ordered.sql", within_days=2),
    steps=[
        Step(
            "child",
            segment="dependants_birthday.sql",
            message=Email("child"),
            voucher=present,
            max_lateness=timedelta(days=1),
        ),
        Step(
            "own",
            segment="own_birthday.sql",
            message=Email("own"),
            voucher=present,
            max_lateness=timedelta(days=1),
        ),
    ],
    # No step comes before another: each birthday is an entry of its own.
    entry="at_their_age",
    priority=80,
)

with DAG(
    journey.name,
    schedule=daily("09:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
