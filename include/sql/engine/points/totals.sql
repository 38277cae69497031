-- The whole programme in four numbers.
select
    coalesce(sum(entries.points) filter (where entries.kind = 'earned'), 0)::bigint as earned,
    -coalesce(sum(entries.points) filter (where entries.kind = 'reversed'), 0)::bigint as reversed,
    coalesce(sum(entries.points) filter (where entries.kind in ('earned', 'reversed')), 0)::bigint as net,
    (
        select count(*)
        from (
            select 1
            from lifecycle.points_entries as of_customer
            group by of_customer.account_id
            having sum(of_customer.points) < 0
        ) as below_zero
    ) as customers_below_zero
from lifecycle.points_entries as entries
