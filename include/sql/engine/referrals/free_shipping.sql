-- Gives free shipping for life to whoever had so many confirmed friends at one time, once (F-03).
with changes as (

    select
        referrals.referrer_id,
        referrals.friend_id,
        referrals.confirmed_at as happened_at,
        1 as change
    from shop.referrals as referrals
    where referrals.confirmed_at >= :counted_from

    union all

    select
        referrals.referrer_id,
        referrals.friend_id,
        referrals.reversed_at as happened_at,
        -1 as change
    from shop.referrals as referrals
    where
        referrals.confirmed_at >= :counted_from
        and referrals.reversed_at is not null

),

counted as (

    select
        changes.referrer_id,
        changes.friend_id,
        changes.happened_at,
        sum(changes.change) over (
            partition by changes.referrer_id
            order by changes.happened_at asc, changes.friend_id asc, changes.change desc
        ) as friends
    from changes

)

insert into lifecycle.free_shipping (customer_id, friend_id, reached_at, friends, counted_from)
select distinct on (counted.referrer_id)
    counted.referrer_id as customer_id,
    counted.friend_id,
    counted.happened_at as reached_at,
    counted.friends,
    :counted_from as counted_from
from counted
where counted.friends >= :friends
order by counted.referrer_id, counted.happened_at, counted.friend_id
on conflict (customer_id) do nothing
