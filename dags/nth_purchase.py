"""# N-th purchase

Rewards the third, the fifth and the tenth purchase with a personal code by email, on the day after (J-18). An order that
was cancelled or given back in full does not count. Which purchases are rewarded is a list at the top of
`nth_order_yesterday.sql`.
"""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Goal, Journey, Step, Voucher, add_tasks, daily

journey = Journey(
    name="nth_purchase",
    goal=Goal("ordered_again.sql", within_days=30),
    steps=[
        Step(
            "reward",
            segment="nth_order_yesterday.sql",
            message=Email("reward"),
            voucher=Voucher(percent_off=20, valid_days=30),
            max_lateness=timedelta(days=7),
        ),
    ],
    priority=70,
)

with DAG(
    journey.name,
    schedule=daily("11:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
