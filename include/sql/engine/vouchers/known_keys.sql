-- The first of some codes that is known: in a pool (of that name), or as a voucher that was generated (no name).
select
    known.code_key,
    known.pool
from (
    select
        codes.code_key,
        codes.pool
    from lifecycle.voucher_codes as codes
    where codes.code_key = any(cast(:keys as text[]))
    union all
    select
        vouchers.code_key,
        null as pool
    from lifecycle.vouchers as vouchers
    where
        vouchers.code_key = any(cast(:keys as text[]))
        and vouchers.released_at is null
        and vouchers.pool is null
) as known
order by array_position(cast(:keys as text[]), known.code_key)
limit 1
