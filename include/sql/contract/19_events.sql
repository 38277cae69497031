-- Other facts that happened before as_of().
create or replace view shop.events as
select
    events.event_id,
    events.customer_id,
    events.name,
    events.occurred_at,
    events.properties
from source.events as events
where events.occurred_at < lifecycle.as_of()
