-- Money given back takes its points back, rounded down per refund. What is refunded of an order after it was cancelled
-- takes nothing: the cancellation took all of it.
select
    refunds.customer_id,
    refunds.refund_id as fact,
    refunds.refunded_at as occurred_at,
    -points_for(refunds.amount_cents) as points
from shop.refunds as refunds
left join shop.orders as orders on refunds.order_id = orders.order_id
where orders.cancelled_at is null or refunds.refunded_at < orders.cancelled_at
