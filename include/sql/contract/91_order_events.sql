-- What happened to orders before as_of(): placed, shipped, delivered, cancelled, refunded, one row each (J-01, J-02).
-- `fact` names the event among those of its kind: the order or, as there may be several of one order, the refund.
-- An index on the time of an event in the table behind source.orders or source.refunds is used.
create or replace view shop.order_events as
select
    'placed' as kind,
    orders.order_id as fact,
    orders.customer_id,
    orders.order_id,
    orders.ordered_at as occurred_at,
    orders.total_cents as amount_cents,
    orders.currency
from source.orders as orders
where orders.ordered_at < lifecycle.as_of()

union all

select
    'shipped' as kind,
    orders.order_id as fact,
    orders.customer_id,
    orders.order_id,
    orders.shipped_at as occurred_at,
    orders.total_cents as amount_cents,
    orders.currency
from source.orders as orders
where
    orders.shipped_at < lifecycle.as_of()
    and orders.ordered_at < lifecycle.as_of()

union all

select
    'delivered' as kind,
    orders.order_id as fact,
    orders.customer_id,
    orders.order_id,
    orders.delivered_at as occurred_at,
    orders.total_cents as amount_cents,
    orders.currency
from source.orders as orders
where
    orders.delivered_at < lifecycle.as_of()
    and orders.ordered_at < lifecycle.as_of()

union all

select
    'cancelled' as kind,
    orders.order_id as fact,
    orders.customer_id,
    orders.order_id,
    orders.cancelled_at as occurred_at,
    orders.total_cents as amount_cents,
    orders.currency
from source.orders as orders
where
    orders.cancelled_at < lifecycle.as_of()
    and orders.ordered_at < lifecycle.as_of()

union all

select
    'refunded' as kind,
    refunds.refund_id as fact,
    refunds.customer_id,
    refunds.order_id,
    refunds.refunded_at as occurred_at,
    refunds.amount_cents,
    refunds.currency
from source.refunds as refunds
where refunds.refunded_at < lifecycle.as_of()
