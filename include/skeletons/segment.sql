-- Customers who placed an order exactly seven local days before the run day.
-- Anchor: that order. Reads: shop.orders.
select
    orders.customer_id,
    orders.order_id as anchor
from shop.orders as orders
where
    orders.ordered_at >= as_of() - interval '7 days'
    and orders.ordered_at < as_of() - interval '6 days'
order by orders.customer_id, orders.order_id
