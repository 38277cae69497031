-- One writer per account at a time, always in the same order; the locks end with the transaction.
select accounts.account_id
from lifecycle.points_accounts as accounts
where accounts.account_id = any(cast(:account_ids as bigint[]))
order by accounts.account_id
for no key update
