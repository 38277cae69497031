-- Uses a voucher for an order, or says why not; no row when there is no such code.
select
    answer.outcome,
    answer.code,
    answer.kind,
    answer.percent_off,
    answer.amount_cents,
    answer.currency,
    answer.gift,
    answer.valid_from,
    answer.valid_until,
    answer.redeemed_at
from
    lifecycle.redeem_voucher(
        :code_key, :order_id, :customer_id, cast(cast(:at_time as text) as timestamptz)
    ) as answer
