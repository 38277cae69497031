"""# Referrals

Gives customers what they have earned for the friends they brought, once a day: store credit per friend, a share of each
renewal, free shipping for life for many (F-03 to F-05, A-5). Points for friends are given by the loyalty programme.

A friend is confirmed when the order outlived its refund window; what is refunded later takes the reward back. Missed days
need no backfill: every run gives all that was earned since the start date.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import DAG_DEFAULTS, add_referral_tasks, daily

with DAG(
    "referrals",
    schedule=daily("02:30", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **DAG_DEFAULTS,
):
    add_referral_tasks()
