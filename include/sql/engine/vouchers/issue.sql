-- Issues one voucher for each message; a message that has one keeps it.
insert into lifecycle.vouchers (code, message_id, customer_id, percent_off, valid_from, valid_until)
select
    issued.code,
    issued.message_id,
    issued.customer_id,
    :percent_off as percent_off,
    issued.valid_from,
    -- The last day counts to its last second: that is how people read "until 5 December".
    issued.valid_from + make_interval(days => :valid_days + 1) - interval '1 second' as valid_until
from
    unnest(
        cast(:codes as text[]),
        cast(:message_ids as uuid[]),
        cast(:customer_ids as text[]),
        cast(:valid_froms as timestamptz[])
    ) as issued (code, message_id, customer_id, valid_from)
on conflict (message_id) do nothing
