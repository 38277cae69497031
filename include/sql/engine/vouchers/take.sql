-- Gives each source one code of a pool, as far as there are codes; a source that has one keeps it. A code is locked
-- while it is taken, and whoever comes second looks at the next one.
with wanting as (

    select
        bearers.*,
        row_number() over (order by bearers.source) as number
    from
        unnest(
            cast(:sources as text[]),
            cast(:message_ids as uuid[]),
            cast(:customer_ids as text[]),
            cast(:valid_froms as timestamptz[])
        ) as bearers (source, message_id, customer_id, valid_from)
    where
        not exists (
            select 1
            from lifecycle.vouchers as vouchers
            where vouchers.source = bearers.source
        )

),

left_over as (

    select
        codes.code_id,
        codes.code,
        codes.code_key
    from lifecycle.voucher_codes as codes
    where
        codes.pool = :pool
        and not codes.is_taken
    order by codes.code_id
    limit (select count(*) from wanting)
    for update skip locked

),

offered as (

    select
        left_over.*,
        row_number() over (order by left_over.code_id) as number
    from left_over

),

given as (

    insert into lifecycle.vouchers (
        code, code_key, source, message_id, customer_id, pool, kind, percent_off, amount_cents, currency, gift,
        valid_from, valid_until
    )
    select
        offered.code,
        offered.code_key,
        wanting.source,
        wanting.message_id,
        wanting.customer_id,
        :pool as pool,
        :kind as kind,
        :percent_off as percent_off,
        :amount_cents as amount_cents,
        :currency as currency,
        :gift as gift,
        wanting.valid_from,
        lifecycle.voucher_end(wanting.valid_from, :valid_days, :valid_seconds) as valid_until
    from wanting
    inner join offered on wanting.number = offered.number
    on conflict (source) do nothing
    returning code_key

)

-- Only what was really given is taken: a source that got one meanwhile leaves its code in the pool.
update lifecycle.voucher_codes as codes
set is_taken = true
from given
where codes.code_key = given.code_key
