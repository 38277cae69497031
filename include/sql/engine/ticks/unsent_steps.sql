-- The steps of a journey that have messages to send, or to settle: of this look or of an earlier one.
select messages.step
from lifecycle.messages as messages
where
    messages.journey = :journey
    and messages.send_state = 'queued'
union
select messages.step
from lifecycle.messages as messages
where
    messages.journey = :journey
    and messages.send_state = 'uncertain'
union
select messages.step
from lifecycle.messages as messages
where
    messages.journey = :journey
    and messages.send_state = 'sending'
    and messages.lease_until < now()
