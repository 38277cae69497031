-- Messages of a step that may or may not have left, oldest first, with what they can be recognised by: the codes of
-- their links. `may_be_absent` waits until an answer that was under way must have arrived.
select
    messages.message_id,
    messages.attempt_id,
    attempts.ended_at as uncertain_at,
    contacts.address,
    attempts.ended_at < now() - make_interval(secs => :settle_after_seconds) as may_be_absent,
    attempts.ended_at < now() - make_interval(hours => :give_up_after_hours) as is_given_up,
    array(
        select links.code
        from lifecycle.links as links
        where links.message_id = messages.message_id
    ) as codes
from lifecycle.messages as messages
inner join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
left join lifecycle.contacts as contacts
    on
        messages.customer_id = contacts.customer_id
        and messages.channel = contacts.channel
where
    messages.journey = :journey
    and messages.step = :step
    and messages.send_state = 'uncertain'
order by attempts.ended_at, messages.message_id
limit :most
