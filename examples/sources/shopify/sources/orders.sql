-- Orders of a Shopify-like shop, cancelled ones included; tests of the payment and guests at the till left out.
-- Known from: created_at, when the order reached the shop. Not processed_at: a till that was offline, or a migration
-- from another shop, dates it back, and a past day would see orders that nobody knew of. A company that moved its
-- history into Shopify in one go, and means the old days, takes processed_at for orders before the day of the move.
-- Shipped: with the first parcel. Delivered: when the shop was told of the last one, not when the carrier rang.
-- Both are subqueries in the select list, so that whoever does not ask for the column does not pay for it.
create or replace view source.orders as
select
    cast(orders.id as text) as order_id,
    cast(orders.customer_id as text) as customer_id,
    orders.created_at as ordered_at,
    cast(round(cast(orders.total_price as numeric) * 100) as bigint) as total_cents,
    orders.currency,
    orders.cancelled_at,
    (
        select min(fulfillments.created_at)
        from shopify.fulfillments as fulfillments
        where
            fulfillments.order_id = orders.id
            and fulfillments.status = 'success'
    ) as shipped_at,
    (
        select case when bool_and(arrivals.told_at is not null) then max(arrivals.told_at) end
        from shopify.fulfillments as fulfillments
        left join lateral (
            select min(events.created_at) as told_at
            from shopify.fulfillment_events as events
            where
                events.fulfillment_id = fulfillments.id
                and events.status = 'delivered'
        ) as arrivals on true
        where
            fulfillments.order_id = orders.id
            and fulfillments.status = 'success'
    ) as delivered_at
from shopify.orders as orders
where
    orders.customer_id is not null
    and not orders.test
