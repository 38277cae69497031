-- A friend's order that was refunded or cancelled after all takes the points of the referral back (F-02). Towards tiers
-- it counts as long as those do.
select
    referrals.referrer_id as customer_id,
    referrals.friend_id as fact,
    referrals.reversed_at as occurred_at,
    -500 as points,
    referrals.confirmed_at as counts_from
from shop.referrals as referrals
where referrals.reversed_at is not null
