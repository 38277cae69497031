-- A credit that was used before its friend's order was refunded or cancelled is owed back, out of later money.
insert into lifecycle.referral_cash (fact, kind, referrer_id, friend_id, amount_cents, currency, occurred_at)
select
    'credit_used/' || referrals.friend_id as fact,
    'credit_used' as kind,
    referrals.referrer_id,
    referrals.friend_id,
    -vouchers.amount_cents as amount_cents,
    vouchers.currency,
    referrals.reversed_at as occurred_at
from shop.referrals as referrals
inner join lifecycle.vouchers as vouchers on vouchers.source = 'referral/' || referrals.friend_id
where
    referrals.status = 'reversed'
    and vouchers.kind = 'amount'
    and vouchers.redeemed_at is not null
on conflict (fact) do nothing
