-- Starts the time of vouchers anew whose messages are tried again: their hours count from the try that is made.
update lifecycle.vouchers as vouchers
set valid_from = renewed.valid_from, valid_until = renewed.valid_until
from (
    select
        bearers.source,
        bearers.valid_from,
        lifecycle.voucher_end(bearers.valid_from, :valid_days, :valid_seconds) as valid_until
    from
        unnest(
            cast(:sources as text[]),
            cast(:valid_froms as timestamptz[])
        ) as bearers (source, valid_from)
) as renewed
where
    vouchers.source = renewed.source
    and vouchers.valid_until < renewed.valid_until
    and vouchers.released_at is null
    and vouchers.redeemed_at is null
