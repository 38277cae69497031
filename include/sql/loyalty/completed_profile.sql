-- Completing the profile, once per customer (L-06).
select distinct on (events.customer_id)
    events.customer_id,
    events.customer_id as fact,
    events.occurred_at,
    100 as points
from shop.events as events
where events.name = 'completed_profile' and events.customer_id is not null
order by events.customer_id, events.occurred_at, events.event_id
