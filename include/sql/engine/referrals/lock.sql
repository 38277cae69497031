-- One settlement at a time: whoever comes second sees what the first one wrote. The lock ends with the transaction.
select pg_advisory_xact_lock(hashtext('lifecycle.referrals'))
