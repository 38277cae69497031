-- Gives each customer a code, unless they have one.
insert into lifecycle.referral_codes (customer_id, code_key)
select
    asked.customer_id,
    asked.code_key
from
    unnest(
        cast(:customer_ids as text[]),
        cast(:code_keys as text[])
    ) as asked (customer_id, code_key)
order by asked.customer_id
on conflict (customer_id) do nothing
