"""# Loyalty mails

What members of the loyalty programme are told, by email (J-27): a welcome when they join, which is free and their own
choice (L-04); a statement once a month; that their points have reached a reward; that they rose to a higher tier; that
they will leave one in two weeks; and that points will expire in the next month.

Each thing is told once. Of several on one day the one that stands last in the list goes, and the others are left out: what
somebody is about to lose comes before good news, and good news before a statement. Runs after `loyalty_points`, which
writes down the points and tiers of the day before.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Journey, Step, add_tasks, daily

journey = Journey(
    name="loyalty_mails",
    steps=[
        Step("balance", segment="month_began.sql", message=Email("balance")),
        Step("reward_reachable", segment="reward_reached.sql", message=Email("reward_reachable")),
        # Joining gives points, and these may reach a reward: the welcome tells of them.
        Step("welcome", segment="joined.sql", message=Email("welcome")),
        Step("tier_up", segment="tier_rose.sql", message=Email("tier_up")),
        Step("tier_ends", segment="tier_ends_soon.sql", message=Email("tier_ends")),
        Step("expiring", segment="expires_next_month.sql", message=Email("expiring")),
    ],
    # No step comes before another: each thing to tell is an entry of its own.
    entry="at_their_age",
    priority=55,
)

with DAG(
    journey.name,
    schedule=daily("11:00", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
