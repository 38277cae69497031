-- Friends who were confirmed and whose referrer has no credit for them yet (F-05).
select
    referrals.referrer_id,
    referrals.friend_id
from shop.referrals as referrals
where
    referrals.status = 'confirmed'
    and referrals.confirmed_at >= :counted_from
    and not exists (
        select 1
        from lifecycle.vouchers as vouchers
        where vouchers.source = 'referral/' || referrals.friend_id
    )
order by referrals.confirmed_at, referrals.friend_id
