-- Connecting on social media, once per customer and network (L-06); the event names it: {"network": "instagram"}.
select distinct on (events.customer_id, events.properties ->> 'network')
    events.customer_id,
    concat(events.customer_id, '/', events.properties ->> 'network') as fact,
    events.occurred_at,
    50 as points
from shop.events as events
where events.name = 'connected_social' and events.customer_id is not null
order by events.customer_id, events.properties ->> 'network', events.occurred_at, events.event_id
