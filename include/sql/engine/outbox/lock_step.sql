-- One planner at a time for a step; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtextextended('lifecycle plan ' || :journey || '/' || :step, 0))
