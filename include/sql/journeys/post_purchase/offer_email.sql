-- Customers who have not ordered again two days after the offer by SMS: the offer by email (J-03).
-- Anchor: the order. Reads: shop.order_outcomes.
select
    orders.customer_id,
    orders.order_id as anchor
from shop.order_outcomes as orders
cross join
    lateral (
        select greatest(orders.delivered_at, orders.ordered_at + interval '7 days') + interval '18 days' as due_at
    ) as offer
where
    orders.ordered_at >= as_of() - interval '90 days'
    and orders.delivered_at is not null
    and offer.due_at >= as_of() - interval '1 day'
    and offer.due_at < as_of()
    and orders.cancelled_at is null
    and orders.returned_at is null
    and orders.next_ordered_at is null
order by orders.customer_id
