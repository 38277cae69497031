-- Orders placed before as_of(); what happened to them later is not shown yet.
create or replace view shop.orders as
select
    orders.order_id,
    orders.customer_id,
    orders.ordered_at,
    orders.total_cents,
    orders.currency,
    case when orders.cancelled_at < lifecycle.as_of() then orders.cancelled_at end as cancelled_at,
    case when orders.shipped_at < lifecycle.as_of() then orders.shipped_at end as shipped_at,
    case when orders.delivered_at < lifecycle.as_of() then orders.delivered_at end as delivered_at,
    orders.referral_code,
    orders.subscription_id
from source.orders as orders
where orders.ordered_at < lifecycle.as_of()
