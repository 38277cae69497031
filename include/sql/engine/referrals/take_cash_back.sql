-- Takes a share of a renewal back when its order is refunded or cancelled later: so much that what stays is the share
-- of what stays of the order, to the hundredth, however many refunds there are.
with paid as (

    select
        cash.order_id,
        cash.referrer_id,
        cash.friend_id,
        cash.currency,
        cash.percent,
        cash.occurred_at,
        orders.total_cents,
        orders.cancelled_at
    from lifecycle.referral_cash as cash
    inner join shop.orders as orders on cash.order_id = orders.order_id
    where cash.kind = 'renewal'

),

given_back as (

    select
        paid.order_id,
        refunds.refund_id,
        refunds.refunded_at,
        greatest(
            0, paid.total_cents - sum(refunds.amount_cents) over (
                partition by paid.order_id order by refunds.refunded_at, refunds.refund_id
            )
        )::bigint as left_cents,
        greatest(
            0, paid.total_cents + refunds.amount_cents - sum(refunds.amount_cents) over (
                partition by paid.order_id order by refunds.refunded_at, refunds.refund_id
            )
        )::bigint as before_cents
    from paid
    inner join shop.refunds as refunds on paid.order_id = refunds.order_id
    where paid.cancelled_at is null or refunds.refunded_at < paid.cancelled_at

),

happened as (

    select
        'refunded/' || given_back.refund_id as fact,
        'refunded' as kind,
        given_back.order_id,
        given_back.refunded_at as occurred_at,
        given_back.before_cents,
        given_back.left_cents
    from given_back

    union all

    select
        'cancelled/' || paid.order_id as fact,
        'cancelled' as kind,
        paid.order_id,
        paid.cancelled_at as occurred_at,
        coalesce(
            (
                select min(given_back.left_cents)
                from given_back
                where given_back.order_id = paid.order_id
            ),
            paid.total_cents
        ) as before_cents,
        0 as left_cents
    from paid
    where paid.cancelled_at is not null

)

insert into lifecycle.referral_cash (
    fact, kind, referrer_id, friend_id, order_id, amount_cents, currency, percent, occurred_at
)
select
    happened.fact,
    happened.kind,
    paid.referrer_id,
    paid.friend_id,
    paid.order_id,
    happened.left_cents * paid.percent / 100 - happened.before_cents * paid.percent / 100 as amount_cents,
    paid.currency,
    paid.percent,
    happened.occurred_at
from happened
inner join paid on happened.order_id = paid.order_id
where
    happened.occurred_at >= paid.occurred_at
    and happened.left_cents * paid.percent / 100 < happened.before_cents * paid.percent / 100
order by happened.occurred_at, happened.fact
on conflict (fact) do nothing
