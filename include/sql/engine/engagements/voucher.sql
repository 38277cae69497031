-- The voucher that a page shows again.
select
    vouchers.code,
    vouchers.percent_off,
    vouchers.amount_cents,
    vouchers.currency,
    vouchers.gift,
    vouchers.valid_from,
    vouchers.valid_until
from lifecycle.voucher_of_message(cast(:message_id as uuid)) as vouchers
