-- The entries that come with a tier, for everybody who is in one when the draw closes (L-08, L-09).
select
    tiers.customer_id,
    tier_levels.draw_entries as entries
from shop.tiers as tiers
inner join shop.tier_levels as tier_levels on tiers.tier = tier_levels.tier
where tiers.until is null and tier_levels.draw_entries > 0
order by tiers.customer_id
