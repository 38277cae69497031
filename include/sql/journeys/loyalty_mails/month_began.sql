-- On the first day of a month: who has points, and got or used some since the month before began, with the next
-- reward and the points that are missing for it (J-27). Whoever did nothing is not bothered every month.
-- Anchor: the month. Reads: shop.points, shop.rewards, shop.tiers.
with balances as (

    select
        points.customer_id,
        sum(points.points) as points
    from shop.points as points
    where extract(day from as_of()) = 1
    group by points.customer_id
    having
        sum(points.points) > 0
        and max(points.occurred_at) >= date_trunc('month', as_of()) - interval '1 month'

)

select
    balances.customer_id,
    to_char(as_of(), 'YYYY-MM') as anchor,
    balances.points,
    next_rewards.reward,
    next_rewards.points - balances.points as missing,
    tiers.tier
from balances
left join
    lateral (
        select
            rewards.reward,
            rewards.points
        from shop.rewards as rewards
        where rewards.points > balances.points
        order by rewards.points, rewards.reward
        limit 1
    ) as next_rewards
    on true
left join shop.tiers as tiers on balances.customer_id = tiers.customer_id and tiers.until is null
order by balances.customer_id
