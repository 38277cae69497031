-- Whose points reached a reward on the day before the run and still do: the dearest of those they reached (J-27).
-- Who falls below it and reaches it again is told again.
-- Anchor: the reward and the day on which it was reached. Reads: shop.points, shop.rewards.
with earners as (

    select points.customer_id
    from shop.points as points
    where points.occurred_at >= as_of() - interval '1 day'

),

-- The balance before each moment, and the one of the run: what lies between them was reached in the meantime.
balances as (

    select
        points.customer_id,
        points.occurred_at,
        sum(sum(points.points)) over (partition by points.customer_id order by points.occurred_at)
        - sum(points.points) as points_before,
        sum(sum(points.points)) over (partition by points.customer_id) as points
    from shop.points as points
    where points.customer_id in (select earners.customer_id from earners)
    group by points.customer_id, points.occurred_at

)

select distinct on (balances.customer_id)
    balances.customer_id,
    rewards.reward || ' ' || balances.occurred_at::date as anchor,
    rewards.reward,
    balances.points
from balances
inner join shop.rewards as rewards
    on balances.points_before < rewards.points and balances.points >= rewards.points
where balances.occurred_at >= as_of() - interval '1 day'
order by balances.customer_id asc, rewards.points desc, rewards.reward asc
