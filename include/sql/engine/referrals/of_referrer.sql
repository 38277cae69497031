-- Everybody a customer brought, newest first.
select
    referrals.friend_id,
    referrals.status,
    referrals.claimed_at,
    referrals.confirmed_at,
    referrals.reversed_at,
    vouchers.code as credit_code,
    vouchers.state as credit_state
from shop.referrals as referrals
left join lifecycle.voucher_states as vouchers on vouchers.source = 'referral/' || referrals.friend_id
where
    referrals.referrer_id = :customer_id
    and referrals.status <> 'refused'
order by referrals.claimed_at desc, referrals.friend_id asc
