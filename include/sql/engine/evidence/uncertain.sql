-- Messages of a step that may or may not have left, oldest first, with what they can be recognised by: the codes of
-- their links, the address they went to, and when they can have been accepted. `may_be_absent` waits until an answer
-- that was under way must have arrived. A held email is not judged before its time: it may still be called back, and
-- nobody says whether a register shows it earlier.
with uncertain as (

    select
        messages.message_id,
        messages.attempt_id,
        messages.customer_id,
        messages.channel,
        messages.address_hash,
        messages.kind = 'marketing' as must_have_codes,
        -- When a sender that died had begun, nobody knows.
        case when attempts.outcome = 'lost' then messages.planned_at else attempts.started_at end as since,
        attempts.ended_at as until,
        greatest(attempts.ended_at, holds.send_at) as uncertain_at
    from lifecycle.messages as messages
    inner join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
    left join lifecycle.held_attempts as held on messages.attempt_id = held.attempt_id
    left join lifecycle.holds as holds on held.batch_id = holds.batch_id
    where
        messages.journey = :journey
        and messages.step = :step
        and messages.send_state = 'uncertain'
        and coalesce(holds.send_at < now(), true)

)

select
    uncertain.message_id,
    uncertain.attempt_id,
    uncertain.must_have_codes,
    uncertain.since,
    uncertain.until,
    uncertain.uncertain_at,
    contacts.address,
    uncertain.uncertain_at < now() - make_interval(secs => :settle_after_seconds) as may_be_absent,
    uncertain.uncertain_at < now() - make_interval(hours => :give_up_after_hours) as is_given_up,
    array(
        select links.code
        from lifecycle.links as links
        where links.message_id = uncertain.message_id
    ) as codes
from uncertain
-- Whoever has another address by now cannot be asked about under it.
left join lifecycle.contacts as contacts
    on
        uncertain.customer_id = contacts.customer_id
        and uncertain.channel = contacts.channel
        and uncertain.address_hash = contacts.address_hash
order by uncertain.uncertain_at, uncertain.message_id
limit :most
