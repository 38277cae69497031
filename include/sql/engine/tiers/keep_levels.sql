-- Keeps the tiers of a programme for those who read them with SQL.
insert into lifecycle.tier_levels (
    programme, tier, place, from_points, from_spend_cents, tier_days, percent_off, free_shipping, draw_entries
)
select
    :programme as programme,
    levels.tier,
    levels.place,
    levels.from_points,
    levels.from_spend_cents,
    levels.tier_days,
    levels.percent_off,
    levels.free_shipping,
    levels.draw_entries
from
    unnest(
        cast(:tiers as text[]),
        cast(:places as integer[]),
        cast(:from_points as bigint[]),
        cast(:from_spend_cents as bigint[]),
        cast(:tier_days as integer[]),
        cast(:percents_off as integer[]),
        cast(:free_shipping as boolean[]),
        cast(:draw_entries as integer[])
    ) as levels (
        tier, place, from_points, from_spend_cents, tier_days, percent_off, free_shipping, draw_entries
    )
