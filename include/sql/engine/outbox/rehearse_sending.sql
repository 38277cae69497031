-- Counts what a rehearsal queued as received, so that its next day sees it.
update lifecycle.messages
set send_state = 'accepted', settled_at = now()
where run_id = :run_id and send_state = 'queued'
