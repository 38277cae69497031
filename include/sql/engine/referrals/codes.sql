-- The codes of some customers.
select
    codes.customer_id,
    codes.code_key
from lifecycle.referral_codes as codes
where codes.customer_id = any(cast(:customer_ids as text[]))
