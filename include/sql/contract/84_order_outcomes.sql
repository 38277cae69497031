-- What became of each order, as known at as_of(): when something of it was first given back, and when the customer
-- ordered next. A refund that names no order counts for every order placed before it; a cancelled order follows none.
create or replace view shop.order_outcomes as
select
    orders.order_id,
    orders.customer_id,
    orders.ordered_at,
    orders.delivered_at,
    orders.cancelled_at,
    least(
        (
            select min(refunds.refunded_at)
            from shop.refunds as refunds
            where refunds.order_id = orders.order_id
        ),
        (
            select min(refunds.refunded_at)
            from shop.refunds as refunds
            where
                refunds.customer_id = orders.customer_id
                and refunds.order_id is null
                and refunds.refunded_at >= orders.ordered_at
        )
    ) as returned_at,
    (
        select min(newer.ordered_at)
        from shop.orders as newer
        where
            newer.customer_id = orders.customer_id
            and newer.cancelled_at is null
            and (newer.ordered_at, newer.order_id) > (orders.ordered_at, orders.order_id)
    ) as next_ordered_at
from shop.orders as orders
