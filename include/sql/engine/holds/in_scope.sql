-- Everything of a scope ('all', a channel or a journey) that is held and can still be called back, the most urgent
-- first. Not while one of its messages is being sent, or may still arrive.
select
    holds.batch_id,
    count(*) as messages,
    bool_or(
        messages.send_state = 'sending'
        or (
            messages.send_state = 'uncertain'
            and attempts.ended_at > now() - make_interval(secs => :settle_after_seconds)
        )
    ) as is_under_way
from lifecycle.holds as holds
inner join lifecycle.held_attempts as held on holds.batch_id = held.batch_id
inner join lifecycle.messages as messages
    on held.message_id = messages.message_id and held.attempt_id = messages.attempt_id
left join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
where
    holds.cancelled_at is null
    and holds.send_at > now() + make_interval(secs => :notice_seconds)
    and :scope in ('all', messages.channel, holds.journey)
    and messages.send_state in ('sending', 'accepted', 'uncertain')
group by holds.batch_id
order by holds.send_at
