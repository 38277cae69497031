-- Clicks of people (not of link scanners) on links in messages, known at as_of().
create or replace view shop.clicks as
select
    engagements.customer_id,
    engagements.journey,
    engagements.step,
    engagements.anchor,
    engagements.occurred_at
from shop.engagements as engagements
where engagements.kind = 'click'
