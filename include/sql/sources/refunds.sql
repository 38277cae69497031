-- Money given back, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.refunds as
select
    refunds.refund_id,
    refunds.customer_id,
    refunds.refunded_at,
    refunds.amount_cents,
    refunds.currency,
    refunds.order_id
from imported.refunds as refunds
