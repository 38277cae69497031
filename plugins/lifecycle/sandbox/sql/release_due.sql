-- Lets go of what was held back until now: sent, or cancelled with its batch. A paused batch stays, for 72 hours.
update messages
set
    state = case when held.status is null then 'sent' else 'cancelled' end,
    sent_at = case when held.status is null then :now end
from (
    select
        messages.id,
        batches.status
    from messages
    left join batches using (batch_id)
    where
        messages.state = 'scheduled'
        and messages.send_at <= :now
        and (batches.status is not 'pause' or messages.send_at <= :now - :pause_seconds)
) as held
where messages.id = held.id
returning messages.id, messages.state
