-- Tells the tiers of everybody anew for whom the earning rules found something.
insert into pg_temp.touched_accounts (account_id)
select accounts.account_id
from lifecycle.points_accounts as accounts
where
    accounts.customer_id in (
        select staged_points.customer_id
        from pg_temp.staged_points as staged_points
    )
on conflict (account_id) do nothing
