-- Who is in a higher tier since the midnight of the run, with what it gives (J-27, L-08).
-- Anchor: the tier and the day since when. Reads: shop.tiers, shop.tier_levels.
select
    tiers.customer_id,
    tiers.tier || ' ' || tiers.since::date as anchor,
    tiers.tier,
    levels.percent_off,
    levels.free_shipping,
    levels.draw_entries
from shop.tiers as tiers
inner join shop.tier_levels as levels on tiers.tier = levels.tier
left join shop.tier_levels as levels_before on tiers.changed_from = levels_before.tier
where
    tiers.since > as_of() - interval '1 day'
    and coalesce(levels.place > levels_before.place, true)
order by tiers.customer_id
