"""# Health of the journeys

Fails, once a day, while anything waits for a person: a journey missed a day, a channel is paused, messages are stuck, or
nobody knows whether they were sent. Each line of its log names the command or the page that mends it; the same list is
`lifecycle report --problems`.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import DAG_DEFAULTS, add_journey_health

with DAG(
    "journey_health",
    schedule="0 14 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # It only looks.
    is_paused_upon_creation=False,
    doc_md=__doc__,
    **DAG_DEFAULTS,
):
    add_journey_health()
