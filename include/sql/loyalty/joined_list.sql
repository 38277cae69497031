-- Joining the mailing list, once per customer (L-06). The shop says so with an event: an opt-in that was imported is no
-- proof that somebody joined for it.
select distinct on (events.customer_id)
    events.customer_id,
    events.customer_id as fact,
    events.occurred_at,
    100 as points
from shop.events as events
where events.name = 'joined_list' and events.customer_id is not null
order by events.customer_id, events.occurred_at, events.event_id
