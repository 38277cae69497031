-- Who joined the programme on the day before the run, with the points they have (J-27). Joining is free and
-- explicit (L-04): the shop sends the event `joined_list`, which the earning rule of that name reads as well.
-- Anchor: a word, so that nobody is welcomed twice.
-- Reads: shop.events, shop.points.
select
    events.customer_id,
    'joined' as anchor,
    coalesce(balances.points, 0) as points
from shop.events as events
cross join
    lateral (
        select sum(points.points) as points
        from shop.points as points
        where points.customer_id = events.customer_id
    ) as balances
where
    events.name = 'joined_list'
    and events.occurred_at >= as_of() - interval '1 day'
group by events.customer_id, balances.points
order by events.customer_id
