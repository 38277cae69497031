-- A friend who was brought and stayed: 500 points, once per friend (F-02, L-07).
select
    referrals.referrer_id as customer_id,
    referrals.friend_id as fact,
    referrals.confirmed_at as occurred_at,
    500 as points
from shop.referrals as referrals
where referrals.confirmed_at is not null
