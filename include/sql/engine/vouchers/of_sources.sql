-- The vouchers of some sources, if they still hold.
select
    vouchers.source,
    vouchers.customer_id,
    vouchers.code,
    vouchers.percent_off,
    vouchers.amount_cents,
    vouchers.currency,
    vouchers.gift,
    vouchers.valid_from,
    vouchers.valid_until
from lifecycle.vouchers as vouchers
where
    vouchers.source = any(cast(:sources as text[]))
    and vouchers.released_at is null
