-- Refunds given before as_of().
create or replace view shop.refunds as
select
    refunds.refund_id,
    refunds.customer_id,
    refunds.refunded_at,
    refunds.amount_cents,
    refunds.currency,
    refunds.order_id
from source.refunds as refunds
where refunds.refunded_at < lifecycle.as_of()
