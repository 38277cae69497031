-- Orders, cancelled ones included, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.orders as
select
    orders.order_id,
    orders.customer_id,
    orders.ordered_at,
    orders.total_cents,
    orders.currency,
    orders.cancelled_at,
    orders.shipped_at,
    orders.delivered_at,
    orders.referral_code,
    orders.subscription_id
from imported.orders as orders
