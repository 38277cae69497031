-- One transaction at a time moves the tiers of a programme; the lock ends with the transaction.
select pg_advisory_xact_lock(hashtextextended('tiers of ' || :programme, 0))
