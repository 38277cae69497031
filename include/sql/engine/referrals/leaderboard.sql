-- Who brought the most friends that stayed; of equals whoever was there first.
select
    rank() over (order by count(*) filter (where referrals.status = 'confirmed') desc) as place,
    referrals.referrer_id as customer_id,
    count(*) filter (where referrals.status = 'confirmed') as confirmed,
    count(*) filter (where referrals.status = 'pending') as pending,
    count(*) filter (where referrals.status = 'reversed') as reversed
from shop.referrals as referrals
where referrals.status <> 'refused'
group by referrals.referrer_id
order by
    confirmed desc,
    max(referrals.confirmed_at) filter (where referrals.status = 'confirmed') asc,
    referrals.referrer_id asc
limit :most
