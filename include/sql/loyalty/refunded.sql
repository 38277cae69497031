-- Money given back takes its points back, rounded down per refund. What is refunded of an order after it was cancelled
-- takes nothing: the cancellation took all of it. Towards tiers it counts as long as its order does (L-08).
select
    refunds.customer_id,
    refunds.refund_id as fact,
    refunds.refunded_at as occurred_at,
    -points_for(refunds.amount_cents) as points,
    -refunds.amount_cents as spend_cents,
    orders.ordered_at as counts_from
from shop.refunds as refunds
left join shop.orders as orders on refunds.order_id = orders.order_id
where orders.cancelled_at is null or refunds.refunded_at < orders.cancelled_at
