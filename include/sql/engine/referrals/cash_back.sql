-- Owes referrers their share of each renewal that outlived its refund window (F-04); what is less than a hundredth is
-- left out.
insert into lifecycle.referral_cash (
    fact, kind, referrer_id, friend_id, order_id, amount_cents, currency, percent, occurred_at
)
select
    'renewal/' || renewals.order_id as fact,
    'renewal' as kind,
    renewals.referrer_id,
    renewals.friend_id,
    renewals.order_id,
    renewals.kept_cents * :percent / 100 as amount_cents,
    renewals.currency,
    :percent as percent,
    renewals.earned_at as occurred_at
from shop.referral_renewals as renewals
where
    renewals.earned_at >= :counted_from
    and renewals.kept_cents * :percent / 100 > 0
order by renewals.earned_at, renewals.order_id
on conflict (fact) do nothing
