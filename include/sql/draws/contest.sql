-- One entry for everybody who took part in the contest of the ladder, or whom the shop names with the event
-- `contest_entry`.
select
    engagements.customer_id,
    1 as entries
from shop.engagements as engagements
where engagements.kind = 'entry' and engagements.customer_id is not null
union
select
    events.customer_id,
    1 as entries
from shop.events as events
where events.name = 'contest_entry' and events.customer_id is not null
order by customer_id
