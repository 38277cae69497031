-- Clicks, survey answers, contest entries and replies of people (not of link scanners) known at as_of().
create or replace view shop.engagements as
select
    engagements.customer_id,
    engagements.journey,
    engagements.step,
    engagements.anchor,
    engagements.kind,
    engagements.properties,
    engagements.occurred_at
from lifecycle.engagements as engagements
where
    engagements.occurred_at < lifecycle.as_of()
    and not engagements.is_machine
