"""# Loyalty points

Gives points for orders and what else the earning rules in `include/sql/loyalty/` name (L-01, L-05, L-06, L-10), takes them
back with refunds, and proves every night that the ledger agrees with the facts.

A run accrues the day before it, every earlier day since the start date that no run accrued, and what of the last week arrived
late. A backfill may repeat days in any order: a fact gives its points once.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import DAG_DEFAULTS, Programme, Reward, Voucher, add_accrual_tasks, daily

programme = Programme(
    name="loyalty_points",
    rules=(
        "ordered",
        "refunded",
        "cancelled",
        "joined_list",
        "completed_profile",
        "connected_social",
        "answered_survey",
    ),
    rewards=(
        Reward("twenty_percent", points=200, voucher=Voucher(percent_off=20, valid_days=30)),
        Reward("tote_bag", points=800, product="tote-bag"),
        Reward("clean_water", points=100, charity="clean-water"),
    ),
)

with DAG(
    programme.name,
    schedule=daily("03:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **DAG_DEFAULTS,
):
    add_accrual_tasks(programme)
