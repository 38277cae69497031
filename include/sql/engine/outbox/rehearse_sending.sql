-- Counts what a rehearsal queued as received on its day, so that its next day sees it.
update lifecycle.messages
set send_state = 'accepted', settled_at = as_of
where run_id = :run_id and send_state = 'queued'
