-- Holds with messages that may or may not have left and that can still be called back, the most urgent first, and how
-- long to wait: an answer that was under way when its sender gave up must have arrived before.
with doubtful as (

    select distinct holds.*
    from lifecycle.messages as messages
    inner join lifecycle.held_attempts as held on messages.attempt_id = held.attempt_id
    inner join lifecycle.holds as holds on held.batch_id = holds.batch_id
    where
        messages.send_state = 'uncertain'
        and holds.cancelled_at is null
        and holds.send_at > now()
        and (cast(:journey as text) is null or (holds.journey, holds.step) = (:journey, :step))

),

over as (

    select
        doubtful.batch_id,
        doubtful.send_at,
        max(
            case
                when messages.send_state = 'sending' then messages.lease_until
                when attempts.outcome = 'lost'
                    then least(attempts.ended_at, doubtful.opened_at + make_interval(secs => :lease_seconds))
                else attempts.ended_at
            end
        ) + make_interval(secs => :settle_after_seconds) as callable_at
    from doubtful
    inner join lifecycle.held_attempts as held on doubtful.batch_id = held.batch_id
    inner join lifecycle.messages as messages
        on held.message_id = messages.message_id and held.attempt_id = messages.attempt_id
    left join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
    group by doubtful.batch_id, doubtful.send_at

)

select
    over.batch_id,
    greatest(cast(extract(epoch from over.callable_at - now()) as double precision), 0) as wait_seconds
from over
where greatest(over.callable_at, now()) < over.send_at - make_interval(secs => :notice_seconds)
order by over.send_at
