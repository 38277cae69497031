"""# Order updates

Tells customers what happens to their orders, by email and by SMS: confirmed, shipped, delivered, cancelled, refunded, each
once (J-01, J-02). It looks every five minutes, so that a message leaves within six of the event.

These messages need no consent to marketing; an offer stands in them only for whoever gave it (A-12). Switched on, it tells
of what happens from then on. A run that failed or never came needs no repair: the next one sends what it would have.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Journey, Sms, Step, add_updates, every

journey = Journey(
    name="order_updates",
    kind="transactional",
    steps=[
        Step("confirmed_email", segment="confirmed.sql", message=Email("confirmed")),
        Step("confirmed_sms", segment="confirmed.sql", message=Sms("confirmed")),
        Step("shipped_email", segment="shipped.sql", message=Email("shipped")),
        Step("shipped_sms", segment="shipped.sql", message=Sms("shipped")),
        Step("delivered_email", segment="delivered.sql", message=Email("delivered")),
        Step("delivered_sms", segment="delivered.sql", message=Sms("delivered")),
        Step("cancelled_email", segment="cancelled.sql", message=Email("cancelled")),
        Step("cancelled_sms", segment="cancelled.sql", message=Sms("cancelled")),
        Step("refunded_email", segment="refunded.sql", message=Email("refunded")),
        Step("refunded_sms", segment="refunded.sql", message=Sms("refunded")),
    ],
)

with DAG(
    journey.name,
    schedule=every(minutes=5, tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_updates(journey)
