-- Answering a survey, once per survey that somebody was sent (L-10).
select
    engagements.customer_id,
    concat_ws('/', engagements.journey, engagements.step, engagements.customer_id, engagements.anchor) as fact,
    min(engagements.occurred_at) as occurred_at,
    50 as points
from shop.engagements as engagements
where engagements.kind = 'answer'
group by engagements.customer_id, engagements.journey, engagements.step, engagements.anchor
