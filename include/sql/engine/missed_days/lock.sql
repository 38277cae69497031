-- One transaction at a time looks after the missed days of a journey; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtextextended('missed days of ' || :journey, 0))
