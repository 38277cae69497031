"""# Loyalty points

Gives points for orders and what else the earning rules in `include/sql/loyalty/` name (L-01, L-05 to L-07, L-10), takes them
back with refunds, moves customers between tiers (L-08), and proves every night that the ledger agrees with the facts.

A run accrues the day before it, every earlier day since the start date that no run accrued, and what of the last week arrived
late. A backfill may repeat days in any order: a fact gives its points once.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import DAG_DEFAULTS, Programme, Reward, Tier, Voucher, add_accrual_tasks, daily

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
        "referred_friend",
        "referral_reversed",
    ),
    rewards=(
        Reward("twenty_percent", points=200, voucher=Voucher(percent_off=20, valid_days=30)),
        Reward("tote_bag", points=800, product="tote-bag"),
        Reward("clean_water", points=100, charity="clean-water"),
    ),
    # What was earned in the last 365 days, refunds taken off.
    tiers=(
        Tier("silver", from_points=2_000, free_shipping=True),
        Tier("gold", from_points=8_000, percent_off=10, free_shipping=True, draw_entries=1),
        Tier("platinum", from_points=20_000, percent_off=50, free_shipping=True, draw_entries=3),
    ),
    tier_days=365,
)

with DAG(
    programme.name,
    schedule=daily("03:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **DAG_DEFAULTS,
):
    add_accrual_tasks(programme)
