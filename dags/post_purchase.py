"""# After the purchase

What follows an order that was delivered: how to use it (J-05), thanks with what goes well with it a week after the purchase
(J-04), what happy customers say three days later, the request for a review (J-06), and an offer by SMS and by email
(J-03). It is about the newest order alone, and ends with the next one, with a refund or when it is cancelled (A-2).

Thanks go at the later of delivery and a week after the purchase, so never before delivery (A-1). Each step has a day of its
own: 0 is the day of the thanks.

| step | day |
|---|---|
| `education` | the day of delivery; 1, when delivery is what the thanks waited for |
| `thanks` | 0 |
| `reviews` | 3 |
| `review_request` | 14 days after delivery, in `review_request.sql` |
| `offer_sms`, `offer_email` | 16 and 18 |

Who ordered longer ago when it is switched on enters at the step they have reached: each step is for the people of one
day, so nobody gets several.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Goal, Journey, Sms, Step, Voucher, add_tasks, daily

offer = Voucher(percent_off=10, valid_days=14)
same_line = ("bought_together", "popular_in_category", "viewed_not_bought")

journey = Journey(
    name="post_purchase",
    goal=Goal("ordered_again.sql", within_days=30),
    steps=[
        Step("education", segment="education.sql", message=Email("education")),
        Step("thanks", segment="thanks.sql", message=Email("thanks"), recommendations=same_line),
        Step(
            "reviews",
            segment="reviews.sql",
            message=Email("reviews"),
            recommendations=same_line,
            reviews=("happy_reviews",),
        ),
        Step("review_request", segment="review_request.sql", message=Email("review_request")),
        Step("offer_sms", segment="offer_sms.sql", message=Sms("offer"), voucher=offer),
        Step("offer_email", segment="offer_email.sql", message=Email("offer"), voucher=offer),
    ],
    entry="at_their_age",
    priority=60,
)

with DAG(
    journey.name,
    schedule=daily("10:30", tz="Europe/London"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/London"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
