-- Tells everybody's tiers anew.
insert into pg_temp.touched_accounts (account_id)
select accounts.account_id
from lifecycle.points_accounts as accounts
on conflict (account_id) do nothing
