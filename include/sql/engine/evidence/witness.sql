-- A message that the provider certainly accepted after an instant: when its register shows this one, it is no longer
-- behind that instant, and what it does not show was never accepted.
select
    messages.provider_id,
    contacts.address
from lifecycle.messages as messages
inner join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
inner join lifecycle.contacts as contacts
    on
        messages.customer_id = contacts.customer_id
        and messages.channel = contacts.channel
        and messages.address_hash = contacts.address_hash
where
    messages.channel = :channel
    and messages.send_state = 'accepted'
    and messages.provider_id is not null
    -- Only an answer that its own sender read says when it was sent; a lost attempt is dated when it was given up.
    and attempts.http_status is not null
    and attempts.started_at > :since
order by attempts.started_at
limit 1
