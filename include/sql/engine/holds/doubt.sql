-- Says of everything in a hold that it may not leave, before SendGrid is asked to cancel it: whatever happens to the
-- one who asks, nobody counts as sent to who was called back.
update lifecycle.messages as messages
set send_state = 'uncertain', settled_at = null
from lifecycle.held_attempts as held
where
    held.batch_id = :batch_id
    and messages.message_id = held.message_id
    and messages.attempt_id = held.attempt_id
    and messages.send_state = 'accepted'
    and messages.delivery_state in ('none', 'queued')
