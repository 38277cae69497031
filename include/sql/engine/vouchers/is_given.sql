-- Whether a voucher was ever given for a source, taken back or not.
select 1 as is_given
from lifecycle.vouchers as vouchers
where vouchers.source = :source
