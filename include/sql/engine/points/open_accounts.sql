-- Opens an account for everybody who has none.
insert into lifecycle.points_accounts (customer_id)
select distinct staged_points.customer_id
from pg_temp.staged_points as staged_points
where
    not exists (
        select 1
        from lifecycle.points_accounts as accounts
        where accounts.customer_id = staged_points.customer_id
    )
order by staged_points.customer_id
on conflict (customer_id) do nothing
