-- Who got a step's message of a run day, or may have: with the time and the provider's word. Ids only.
-- What still waits is listed too, because it leaves unless it is stopped.
select
    messages.customer_id,
    messages.anchor,
    messages.send_state,
    messages.delivery_state,
    messages.planned_on,
    messages.settled_at,
    messages.clicked_at is not null as has_clicked,
    messages.message_id::text as message_id
from lifecycle.runs as runs
inner join lifecycle.messages as messages
    on
        runs.run_id = messages.run_id
        and messages.step = :step
where
    runs.journey = :journey
    and runs.run_day = :run_day
    and messages.send_state in ('planned', 'queued', 'sending', 'accepted', 'uncertain', 'unconfirmed')
order by messages.customer_id, messages.anchor
