-- The vouchers of some messages.
select
    vouchers.message_id,
    vouchers.code,
    vouchers.percent_off,
    vouchers.valid_until
from lifecycle.vouchers as vouchers
where vouchers.message_id = any(cast(:message_ids as uuid[]))
