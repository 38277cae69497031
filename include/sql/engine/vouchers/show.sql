-- Everything about a code: the voucher that holds it, else the last one that did.
select
    states.code,
    states.state,
    states.kind,
    states.percent_off,
    states.amount_cents,
    states.currency,
    states.gift,
    states.customer_id,
    states.source,
    states.pool,
    states.given_at,
    states.valid_from,
    states.valid_until,
    states.released_at,
    states.redeemed_at,
    states.order_id
from lifecycle.voucher_states as states
where states.code_key = :code_key
order by states.voucher_id desc
limit 1
