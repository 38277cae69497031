-- In which tier customers were from when on, as told by what happened before as_of(); an end is shown once it has come.
-- A tier holds for whole days of the programme: the one of a day is known when the day begins.
create or replace view shop.tiers as
select
    accounts.customer_id,
    periods.tier,
    periods.changed_from,
    periods.since,
    case when periods.until <= lifecycle.as_of() then periods.until end as until
from lifecycle.tier_periods as periods
inner join lifecycle.points_accounts as accounts on periods.account_id = accounts.account_id
where
    periods.since <= lifecycle.as_of()
    and accounts.customer_id is not null
