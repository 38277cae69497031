-- Who leaves their tier in 14 days unless they earn something: told before, while it can be kept (J-27, L-08).
-- What counts on a day is what counted from no earlier than so many days before it, as in the tiers themselves.
-- Anchor: the tier and its last day. Reads: shop.tiers, shop.tier_levels, shop.points.
with falls as (

    select
        tiers.customer_id,
        tiers.tier,
        ahead.days,
        levels.from_points - coalesce(sum(points.tier_points), 0) as missing
    from shop.tiers as tiers
    inner join shop.tier_levels as levels on tiers.tier = levels.tier
    cross join generate_series(13, 14) as ahead (days)
    left join shop.points as points
        on
            tiers.customer_id = points.customer_id
            and points.counts_from >= as_of() + make_interval(days => ahead.days - levels.tier_days)
    where tiers.until is null
    group by tiers.customer_id, tiers.tier, ahead.days, levels.from_points, levels.from_spend_cents
    having
        coalesce(sum(points.tier_points) < levels.from_points, true)
        and coalesce(sum(points.spend_cents) < levels.from_spend_cents, true)

)

select
    falls.customer_id,
    falls.tier || ' until ' || (as_of()::date + 13)::text as anchor,
    falls.tier,
    (as_of()::date + 13)::text as last_day,
    max(falls.missing) as missing
from falls
group by falls.customer_id, falls.tier
having min(falls.days) > 13
order by falls.customer_id
