-- The tier a customer is in at an instant, with what it gives; until when, if nothing more is earned.
select
    periods.tier,
    periods.since,
    periods.until,
    tier_levels.percent_off,
    tier_levels.free_shipping,
    tier_levels.draw_entries
from lifecycle.tier_periods as periods
inner join lifecycle.points_accounts as accounts on periods.account_id = accounts.account_id
inner join lifecycle.tier_levels as tier_levels
    on periods.programme = tier_levels.programme and periods.tier = tier_levels.tier
where
    accounts.customer_id = :customer_id
    and periods.since <= :at
    and (periods.until is null or periods.until > :at)
