-- The tiers that the periods were told with, lowest first.
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
where tier_levels.programme = :programme
order by tier_levels.place
