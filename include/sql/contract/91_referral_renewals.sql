-- Renewals of subscriptions by friends that outlived their refund window before as_of() (F-04): every order of a
-- subscription but its first. What was refunded within the window is left out of `kept_cents`.
create or replace view shop.referral_renewals as
select
    referrals.referrer_id,
    referrals.friend_id,
    orders.order_id,
    orders.subscription_id,
    orders.ordered_at,
    orders.ordered_at + lifecycle.refund_window() as earned_at,
    (orders.total_cents - coalesce(refunds.amount_cents, 0))::bigint as kept_cents,
    orders.currency
from shop.referrals as referrals
inner join shop.orders as orders on referrals.friend_id = orders.customer_id
left join
    lateral (
        select sum(known.amount_cents) as amount_cents
        from shop.refunds as known
        where
            known.order_id = orders.order_id
            and known.refunded_at < orders.ordered_at + lifecycle.refund_window()
    ) as refunds
    on true
where
    orders.subscription_id is not null
    and orders.ordered_at < lifecycle.as_of() - lifecycle.refund_window()
    and coalesce(orders.cancelled_at >= orders.ordered_at + lifecycle.refund_window(), true)
    and orders.total_cents > coalesce(refunds.amount_cents, 0)
    and referrals.confirmed_at <= orders.ordered_at + lifecycle.refund_window()
    and coalesce(referrals.reversed_at > orders.ordered_at + lifecycle.refund_window(), true)
    and exists (
        select 1
        from shop.orders as earlier
        where
            earlier.customer_id = orders.customer_id
            and earlier.subscription_id = orders.subscription_id
            and (earlier.ordered_at, earlier.order_id) < (orders.ordered_at, orders.order_id)
    )
