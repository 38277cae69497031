-- Who brought whom, as known at as_of() (F-02 to F-06). A claim is confirmed by the friend's first order, from the
-- claimed one on, that outlives its refund window, and reversed when that order is cancelled or refunded later. An
-- order counts while at least the smallest amount of the settings is left of it.
create or replace view shop.referrals as
select
    claims.referrer_id,
    claims.friend_id,
    claims.order_id as claimed_order_id,
    claims.claimed_at,
    claims.refused,
    counted.order_id,
    counted.confirmed_at,
    counted.ended_at as reversed_at,
    case
        when claims.refused is not null then 'refused'
        when counted.ended_at is not null then 'reversed'
        when counted.confirmed_at is not null then 'confirmed'
        else 'pending'
    end as status
from lifecycle.referral_claims as claims
left join
    lateral (
        select
            orders.order_id,
            orders.ordered_at + lifecycle.refund_window() as confirmed_at,
            least(orders.cancelled_at, given_back.refunded_at) as ended_at
        from shop.orders as orders
        left join
            lateral (
                select min(refunds.refunded_at) as refunded_at
                from (
                    select
                        known.refunded_at,
                        sum(known.amount_cents) over (order by known.refunded_at, known.refund_id) as amount_cents
                    from shop.refunds as known
                    where known.order_id = orders.order_id
                ) as refunds
                where orders.total_cents - refunds.amount_cents < lifecycle.least_order_cents()
            ) as given_back
            on true
        where
            claims.refused is null
            and orders.customer_id = claims.friend_id
            and orders.ordered_at >= claims.claimed_at
            and orders.ordered_at < lifecycle.as_of() - lifecycle.refund_window()
            and orders.total_cents >= lifecycle.least_order_cents()
            and coalesce(
                least(orders.cancelled_at, given_back.refunded_at) >= orders.ordered_at + lifecycle.refund_window(),
                true
            )
        order by orders.ordered_at, orders.order_id
        limit 1
    ) as counted
    on true
where claims.claimed_at < lifecycle.as_of()
