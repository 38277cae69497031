"""# Anniversary of registration

Thanks each customer by email on every anniversary of the day they registered (J-16): after one year, two, three and so
on. Who registered on 29 February is written to on 28 February in other years.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Goal, Journey, Step, add_tasks, daily

journey = Journey(
    name="anniversary",
    goal=Goal("ordered.sql", within_days=14),
    steps=[Step("thanks", segment="registered_years_ago.sql", message=Email("thanks"))],
    priority=60,
)

with DAG(
    journey.name,
    schedule=daily("09:30", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
