-- Money spent: 10 points per currency unit, rounded down per order (L-01, L-05). Tiers may count the amount (L-08).
select
    orders.customer_id,
    orders.order_id as fact,
    orders.ordered_at as occurred_at,
    points_for(orders.total_cents) as points,
    orders.total_cents as spend_cents
from shop.orders as orders
