-- Every pool: what was imported, what is left, what was given in the last days, and for how many whole days the rest
-- lasts at that pace. A pool that is in use for less than those days is measured over the days it is, one at least.
with given as (

    select
        vouchers.pool,
        count(*) as lately,
        max(vouchers.given_at) as last_at,
        count(*)
        / greatest(1, extract(epoch from cast(:now as timestamptz) - min(vouchers.given_at)) / 86400) as per_day
    from lifecycle.vouchers as vouchers
    where
        vouchers.pool is not null
        and vouchers.given_at > cast(:now as timestamptz) - make_interval(days => :pace_days)
        and vouchers.released_at is null
    group by vouchers.pool

)

select
    codes.pool,
    count(*) as imported,
    count(*) filter (where not codes.is_taken) as codes_left,
    coalesce(given.lately, 0) as given_lately,
    case
        when given.per_day is not null
            then cast(
                least(floor(count(*) filter (where not codes.is_taken) / given.per_day), 1000000) as integer
            )
    end as days_left,
    greatest(max(codes.imported_at), given.last_at) as since
from lifecycle.voucher_codes as codes
left join given on codes.pool = given.pool
group by codes.pool, given.lately, given.last_at, given.per_day
order by codes.pool
