-- One entry for every 100 points earned in the 30 days before the draw closes.
select
    points.customer_id,
    floor(sum(points.points) / 100.0)::integer as entries
from shop.points as points
where
    points.kind in ('earned', 'reversed')
    and points.occurred_at >= as_of() - interval '30 days'
group by points.customer_id
having sum(points.points) >= 100
order by points.customer_id
