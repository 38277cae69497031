-- SendGrid has not cancelled a hold: what it had accepted of it, it will send.
update lifecycle.messages as messages
set send_state = 'accepted', settled_at = attempts.ended_at
from lifecycle.held_attempts as held
inner join lifecycle.attempts as attempts on held.attempt_id = attempts.attempt_id
where
    held.batch_id = :batch_id
    and messages.message_id = held.message_id
    and messages.attempt_id = held.attempt_id
    and messages.send_state = 'uncertain'
    and attempts.outcome = 'accepted'
