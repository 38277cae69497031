-- On the 15th of a month: whose points expire in the next month, and how many if nothing is used (J-27).
-- The points that expire first are used first. What is left of those that expire until a day is what they brought, less
-- everything that was used; what was used when nothing of them was left came from others.
-- Anchor: the month in which they expire. Reads: shop.points.
with flows as (

    select
        points.customer_id,
        points.occurred_at,
        points.points,
        least(points.points, 0)
        + case when points.expires_at <= months.begins then points.points else 0 end as sooner,
        least(points.points, 0)
        + case when points.expires_at <= months.ends then points.points else 0 end as later
    from shop.points as points
    cross join
        lateral (
            select
                date_trunc('month', as_of()) + interval '1 month' as begins,
                date_trunc('month', as_of()) + interval '2 months' as ends
        ) as months
    where extract(day from as_of()) = 15

),

balances as (

    select
        flows.customer_id,
        flows.points,
        flows.sooner,
        flows.later,
        sum(flows.sooner) over in_order as sooner_then,
        sum(flows.later) over in_order as later_then
    from flows
    window in_order as (partition by flows.customer_id order by flows.occurred_at asc, flows.points desc)

),

left_over as (

    select
        balances.customer_id,
        least(sum(balances.points), sum(balances.sooner) - least(0, min(balances.sooner_then))) as sooner,
        least(sum(balances.points), sum(balances.later) - least(0, min(balances.later_then))) as later
    from balances
    group by balances.customer_id

)

select
    left_over.customer_id,
    to_char(as_of() + interval '1 month', 'YYYY-MM') as anchor,
    left_over.later - left_over.sooner as expiring,
    (date_trunc('month', as_of()) + interval '2 months' - interval '1 day')::date::text as last_day
from left_over
where left_over.later > left_over.sooner
order by left_over.customer_id
