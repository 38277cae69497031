-- Writes down which orders claim a referral, and what is wrong with a claim: by the code an order came with, or by what
-- was known of the customer at sign-up when the first order has none. A claim is judged once, by what was known when
-- its order was placed, so that it does not matter which day is looked at first.
insert into lifecycle.referral_claims (order_id, friend_id, referrer_id, claimed_at, refused)
with recursive candidates as (

    select
        orders.order_id,
        orders.customer_id as friend_id,
        orders.ordered_at as claimed_at,
        coalesce(codes.customer_id, friends.referred_by) as referrer_id
    from shop.orders as orders
    left join lifecycle.referral_codes as codes on codes.code_key = lifecycle.referral_key(orders.referral_code)
    left join shop.customers as friends on orders.customer_id = friends.customer_id
    where
        orders.referral_code is not null
        and not exists (
            select 1
            from lifecycle.referral_claims as known
            where known.order_id = orders.order_id
        )

    union all

    select
        first_orders.order_id,
        friends.customer_id as friend_id,
        first_orders.ordered_at as claimed_at,
        friends.referred_by as referrer_id
    from shop.customers as friends
    cross join
        lateral (
            select
                orders.order_id,
                orders.ordered_at,
                orders.referral_code
            from shop.orders as orders
            where orders.customer_id = friends.customer_id
            order by orders.ordered_at, orders.order_id
            limit 1
        ) as first_orders
    where
        friends.referred_by is not null
        and first_orders.referral_code is null
        and not exists (
            select 1
            from lifecycle.referral_claims as known
            where known.order_id = first_orders.order_id
        )

),

judged as (

    select
        candidates.order_id,
        candidates.friend_id,
        candidates.referrer_id,
        candidates.claimed_at,
        case
            when candidates.referrer_id is null then 'unknown_code'
            when candidates.referrer_id = candidates.friend_id then 'self'
            when exists (
                select 1
                from shop.customers as friends
                inner join shop.customers as referrers on referrers.customer_id = candidates.referrer_id
                where
                    friends.customer_id = candidates.friend_id
                    and (
                        lifecycle.mailbox(friends.email) = lifecycle.mailbox(referrers.email)
                        or nullif(regexp_replace(friends.phone, '[^0-9]', '', 'g'), '')
                        = regexp_replace(referrers.phone, '[^0-9]', '', 'g')
                    )
            ) then 'self'
            when exists (
                select 1
                from shop.orders as earlier
                where
                    earlier.customer_id = candidates.friend_id
                    and (earlier.ordered_at, earlier.order_id) < (candidates.claimed_at, candidates.order_id)
                    and coalesce(earlier.cancelled_at > candidates.claimed_at, true)
            ) then 'not_new'
            when exists (
                select 1
                from lifecycle.referral_claims as known
                where
                    known.friend_id = candidates.friend_id
                    and (known.refused is null or known.refused = 'circular')
            ) then 'claimed_before'
        end as refused
    from candidates

),

-- Of several good claims of a friend the first one counts.
numbered as (

    select
        judged.order_id,
        judged.friend_id,
        judged.referrer_id,
        judged.claimed_at,
        coalesce(
            judged.refused,
            case
                when
                    row_number() over (
                        partition by judged.friend_id, judged.refused is null
                        order by judged.claimed_at, judged.order_id
                    ) > 1
                    then 'claimed_before'
            end
        ) as refused
    from judged

),

brought as (

    select
        known.order_id,
        known.friend_id,
        known.referrer_id,
        known.claimed_at
    from lifecycle.referral_claims as known
    where known.refused is null or known.refused = 'circular'
    union all
    select
        numbered.order_id,
        numbered.friend_id,
        numbered.referrer_id,
        numbered.claimed_at
    from numbered
    where numbered.refused is null

),

-- From each new claim up: who brought the referrer, who brought them, by claims that were earlier.
walks as (

    select
        numbered.order_id,
        numbered.claimed_at,
        numbered.friend_id,
        numbered.referrer_id as reached
    from numbered
    where numbered.refused is null

    union

    select
        walks.order_id,
        walks.claimed_at,
        walks.friend_id,
        brought.referrer_id as reached
    from walks
    inner join brought on walks.reached = brought.friend_id
    where (brought.claimed_at, brought.order_id) < (walks.claimed_at, walks.order_id)

)

select
    numbered.order_id,
    numbered.friend_id,
    numbered.referrer_id,
    numbered.claimed_at,
    case
        when numbered.refused is not null then numbered.refused
        when exists (
            select 1
            from walks
            where walks.order_id = numbered.order_id and walks.reached = numbered.friend_id
        ) then 'circular'
    end as refused
from numbered
order by numbered.claimed_at, numbered.order_id
on conflict do nothing
