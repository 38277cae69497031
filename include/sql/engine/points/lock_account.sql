-- One writer per account at a time; the lock ends with the transaction.
select accounts.account_id
from lifecycle.points_accounts as accounts
where accounts.customer_id = :customer_id
for no key update
