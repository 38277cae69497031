-- Notes that SendGrid has forgotten a cancelled hold.
update lifecycle.holds as holds
set forgotten_at = now()
where holds.batch_id = :batch_id
