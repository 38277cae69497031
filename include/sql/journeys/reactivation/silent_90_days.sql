-- Customers whose last sign of life lies exactly 90 local days before the run day: the coupon (J-10, step 3).
-- Anchor: their last order, so that one silence is one ladder. Reads: shop.activities, shop.orders.
with last_seen as (

    select distinct activities.customer_id
    from shop.activities as activities
    where
        activities.occurred_at >= as_of() - interval '90 days'
        and activities.occurred_at < as_of() - interval '89 days'
        and not exists (
            select 1
            from shop.activities as later
            where
                later.customer_id = activities.customer_id
                and later.occurred_at >= as_of() - interval '89 days'
        )

)

select
    last_seen.customer_id,
    last_order.order_id as anchor
from last_seen
cross join
    lateral (
        select orders.order_id
        from shop.orders as orders
        where orders.customer_id = last_seen.customer_id
        order by orders.ordered_at desc, orders.order_id desc
        limit 1
    ) as last_order
order by last_seen.customer_id
