-- Any other fact a journey may need, by name, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.events as
select
    events.event_id,
    events.customer_id,
    events.name,
    events.occurred_at,
    events.properties
from imported.events as events
