-- A message that the provider certainly accepted after an instant, and if it was held, let go after it: when its
-- register shows this one, it is no longer behind that instant, and what it does not show was never accepted.
select
    messages.message_id,
    messages.provider_id,
    contacts.address,
    attempts.started_at as since,
    attempts.ended_at as until
from lifecycle.messages as messages
inner join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
inner join lifecycle.contacts as contacts
    on
        messages.customer_id = contacts.customer_id
        and messages.channel = contacts.channel
        and messages.address_hash = contacts.address_hash
left join lifecycle.held_attempts as held on messages.attempt_id = held.attempt_id
left join lifecycle.holds as holds on held.batch_id = holds.batch_id
where
    messages.channel = :channel
    and messages.send_state = 'accepted'
    and messages.provider_id is not null
    -- Only an answer that its own sender read says when it was sent; a lost attempt is dated when it was given up.
    and attempts.outcome = 'accepted'
    and attempts.http_status is not null
    and attempts.started_at > :since
    and coalesce(holds.send_at between :since and now(), true)
order by attempts.started_at
limit 1
