-- Lets what a run of another day has queued leave with the next look for deferred messages, instead of that day's send.
update lifecycle.messages
set send_after = now()
where
    run_id = :run_id
    and step = :step
    and send_state = 'queued'
    and send_after is null
