-- The tiers of the programme and what they give, lowest first by `place`; as they are declared today.
create or replace view shop.tier_levels as
select
    tier_levels.tier,
    tier_levels.place,
    tier_levels.from_points,
    tier_levels.from_spend_cents,
    tier_levels.tier_days,
    tier_levels.percent_off,
    tier_levels.free_shipping,
    tier_levels.draw_entries
from lifecycle.tier_levels as tier_levels
