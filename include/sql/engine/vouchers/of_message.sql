-- The voucher of a message.
select
    vouchers.code,
    vouchers.percent_off,
    vouchers.valid_until
from lifecycle.vouchers as vouchers
where vouchers.message_id = cast(:message_id as uuid)
