-- Notes under which name claimed messages are held, and until when; committed with the claim.
with hold as (

    insert into lifecycle.holds (batch_id, journey, step, send_at)
    values (:batch_id, :journey, :step, date_trunc('second', now() + make_interval(mins => :minutes, secs => 1)))
    returning batch_id, send_at

),

held as (

    insert into lifecycle.held_attempts (attempt_id, message_id, batch_id)
    select
        claimed.attempt_id,
        claimed.message_id,
        hold.batch_id
    from unnest(cast(:attempt_ids as uuid[]), cast(:message_ids as uuid[])) as claimed (attempt_id, message_id)
    cross join hold

)

select cast(extract(epoch from hold.send_at) as bigint) as send_at
from hold
