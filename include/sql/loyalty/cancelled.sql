-- A cancelled order takes back what its refunds have not taken before. Towards tiers that counts as long as the order
-- does (L-08).
select
    orders.customer_id,
    orders.order_id as fact,
    orders.cancelled_at as occurred_at,
    -greatest(0, points_for(orders.total_cents) - coalesce(sum(points_for(refunds.amount_cents)), 0)) as points,
    -greatest(0, orders.total_cents - coalesce(sum(refunds.amount_cents), 0)) as spend_cents,
    orders.ordered_at as counts_from
from shop.orders as orders
left join shop.refunds as refunds
    on orders.order_id = refunds.order_id and orders.cancelled_at > refunds.refunded_at
where orders.cancelled_at is not null
group by orders.customer_id, orders.order_id, orders.cancelled_at, orders.total_cents, orders.ordered_at
