"""# Deferred messages

Sends what waited for the end of somebody's quiet hours, of all journeys, a quarter of an hour after it at the latest.
Consent, caps, the kill switch and the quiet hours are asked again for everybody.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import DAG_DEFAULTS, add_deferred_sending

with DAG(
    "deferred_messages",
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # It sends only what a journey that is switched on has planned.
    is_paused_upon_creation=False,
    doc_md=__doc__,
    **DAG_DEFAULTS,
):
    add_deferred_sending()
