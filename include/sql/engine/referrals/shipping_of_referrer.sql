-- Whether shipping is free for a customer: for life, while refunds leave as many friends as it took.
select
    given.reached_at,
    (
        select count(*)
        from shop.referrals as referrals
        where
            referrals.referrer_id = given.customer_id
            and referrals.status = 'confirmed'
            and referrals.confirmed_at >= given.counted_from
    ) >= given.friends as is_held
from lifecycle.free_shipping as given
where
    given.customer_id = :customer_id
    and given.reached_at < lifecycle.as_of()
