-- Whoever reacts after all is active again: lifts what the end of this journey suppressed, never a refusal (H-02).
update lifecycle.suppressions as suppressions
set lifted_at = now()
from lifecycle.messages as messages
where
    messages.message_id = :message_id
    and suppressions.channel = messages.channel
    and suppressions.address_hash = messages.address_hash
    and suppressions.source = messages.journey
    and suppressions.reason <> 'unsubscribed'
    and suppressions.lifted_at is null
