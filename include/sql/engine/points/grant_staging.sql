-- The ledger's role reads what the earning rules found.
grant select on pg_temp.staged_points to lifecycle_ledger
