-- Takes the voucher of a source back, if nobody used it.
select lifecycle.release_voucher(vouchers.voucher_id) as is_released
from lifecycle.vouchers as vouchers
where vouchers.source = :source
