-- A message whose sender died is never sent again blindly: it may have arrived (architecture §6, 4).
with lost as (

    update lifecycle.messages as messages
    set send_state = 'uncertain', lease_until = null
    where
        messages.send_state = 'sending'
        and messages.lease_until < now()
    returning messages.message_id, messages.attempt_id

)

insert into lifecycle.attempts (attempt_id, message_id, started_at, outcome, detail)
select
    lost.attempt_id,
    lost.message_id,
    now() as started_at,
    'lost' as outcome,
    'the sender did not report back before its lease was over' as detail
from lost
on conflict (attempt_id) do nothing
