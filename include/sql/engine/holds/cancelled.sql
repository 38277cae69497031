-- SendGrid has cancelled a hold early enough: nothing of it ever leaves, so all of it is queued again. What SendGrid
-- still reports of these attempts is no evidence any more, so they are not counted.
with cancelled as (

    update lifecycle.holds as holds
    set cancelled_at = now()
    where
        holds.batch_id = :batch_id
        and holds.cancelled_at is null
        and holds.send_at > now() + make_interval(secs => :notice_seconds)
    returning holds.batch_id

)

update lifecycle.messages as messages
set
    send_state = 'queued',
    delivery_state = 'none',
    attempt_count = 0,
    provider_id = null,
    reason = null,
    retry_after = null,
    settled_at = null
from cancelled
inner join lifecycle.held_attempts as held on cancelled.batch_id = held.batch_id
where
    messages.message_id = held.message_id
    and messages.attempt_id = held.attempt_id
    and messages.send_state in ('uncertain', 'accepted')
    and messages.delivery_state in ('none', 'queued')
