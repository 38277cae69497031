-- Gives one generated voucher for each source; a source that has one keeps it.
insert into lifecycle.vouchers (
    code, code_key, source, message_id, customer_id, kind, percent_off, amount_cents, currency, gift,
    valid_from, valid_until
)
select
    bearers.code,
    bearers.code_key,
    bearers.source,
    bearers.message_id,
    bearers.customer_id,
    :kind as kind,
    :percent_off as percent_off,
    :amount_cents as amount_cents,
    :currency as currency,
    :gift as gift,
    bearers.valid_from,
    lifecycle.voucher_end(bearers.valid_from, :valid_days, :valid_seconds) as valid_until
from
    unnest(
        cast(:codes as text[]),
        cast(:code_keys as text[]),
        cast(:sources as text[]),
        cast(:message_ids as uuid[]),
        cast(:customer_ids as text[]),
        cast(:valid_froms as timestamptz[])
    ) as bearers (code, code_key, source, message_id, customer_id, valid_from)
on conflict (source) do nothing
