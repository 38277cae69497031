-- What SendGrid keeps back and has not let go yet, of a journey or of all, the most urgent first: how many emails,
-- whether they can still be called back, and how long to wait for that: a request under way must have arrived before.
with held as (

    select
        holds.batch_id,
        holds.send_at,
        count(*) as messages,
        max(
            case
                when messages.send_state = 'sending'
                    then messages.lease_until + make_interval(secs => :settle_after_seconds)
                when messages.send_state = 'uncertain' and attempts.outcome = 'lost'
                    then
                        least(attempts.ended_at, holds.opened_at + make_interval(secs => :lease_seconds))
                        + make_interval(secs => :settle_after_seconds)
                when messages.send_state = 'uncertain'
                    then attempts.ended_at + make_interval(secs => :settle_after_seconds)
                else holds.opened_at
            end
        ) as callable_at
    from lifecycle.holds as holds
    inner join lifecycle.held_attempts as held on holds.batch_id = held.batch_id
    inner join lifecycle.messages as messages
        on held.message_id = messages.message_id and held.attempt_id = messages.attempt_id
    left join lifecycle.attempts as attempts on messages.attempt_id = attempts.attempt_id
    where
        holds.cancelled_at is null
        and holds.send_at > now()
        and (cast(:journey as text) is null or holds.journey = :journey)
        and messages.send_state in ('sending', 'uncertain', 'accepted')
        and messages.delivery_state in ('none', 'queued')
    group by holds.batch_id, holds.send_at, holds.opened_at

)

select
    held.batch_id,
    held.send_at,
    held.messages,
    greatest(cast(extract(epoch from held.callable_at - now()) as double precision), 0) as wait_seconds,
    greatest(held.callable_at, now())
    < held.send_at - make_interval(secs => :notice_seconds) as is_in_time
from held
order by held.send_at
