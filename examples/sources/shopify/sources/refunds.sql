-- Money given back: what really moved, so a refund that only restocked is none, and one in two payments is one.
-- Known from: created_at, when somebody entered it.
create or replace view source.refunds as
select
    cast(refunds.id as text) as refund_id,
    cast(orders.customer_id as text) as customer_id,
    refunds.created_at as refunded_at,
    paid_back.amount_cents,
    orders.currency,
    cast(refunds.order_id as text) as order_id
from shopify.refunds as refunds
inner join shopify.orders as orders on refunds.order_id = orders.id
cross join
    lateral (
        select cast(round(sum(cast(transactions.amount as numeric)) * 100) as bigint) as amount_cents
        from shopify.transactions as transactions
        where
            transactions.refund_id = refunds.id
            and transactions.kind = 'refund'
            and transactions.status = 'success'
    ) as paid_back
where
    paid_back.amount_cents is not null
    and orders.customer_id is not null
    and not orders.test
