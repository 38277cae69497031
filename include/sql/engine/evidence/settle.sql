-- Settles uncertain messages by evidence. Whoever decided meanwhile wins: the attempt must still be the same. What is
-- proven absent leaves with the next look for deferred messages at the latest: the run that proves it may be of an
-- earlier day, and sends nothing of later ones.
with evidence as (

    select evidence.*
    from unnest(
        cast(:message_ids as uuid[]),
        cast(:attempt_ids as uuid[]),
        cast(:send_states as text[]),
        cast(:provider_ids as text[])
    ) as evidence (message_id, attempt_id, send_state, provider_id)

)

update lifecycle.messages as messages
set
    send_state = evidence.send_state,
    provider_id = coalesce(evidence.provider_id, messages.provider_id),
    reason = case when evidence.send_state = 'unconfirmed' then 'no evidence' end,
    settled_at = case when evidence.send_state = 'queued' then null else now() end,
    send_after = case when evidence.send_state = 'queued' then now() else messages.send_after end
from evidence
where
    messages.message_id = evidence.message_id
    and messages.attempt_id = evidence.attempt_id
    and messages.send_state = 'uncertain'
returning messages.send_state
