-- One entry for every order of the 30 days before the draw closes that was not cancelled.
select
    orders.customer_id,
    count(*)::integer as entries
from shop.orders as orders
where
    orders.ordered_at >= as_of() - interval '30 days'
    and orders.cancelled_at is null
group by orders.customer_id
order by orders.customer_id
