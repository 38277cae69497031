-- From here on the transaction may add points and change none.
select set_config('role', 'lifecycle_ledger', true)
