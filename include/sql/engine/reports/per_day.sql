-- One row per run day and step: due, sent, and every other outcome with its reason.
-- Whoever an earlier run had decided about is counted on that run's day only.
select
    runs.run_day,
    audiences.step,
    coalesce(messages.send_state, 'not_planned') as outcome,
    coalesce(messages.reason, '') as reason,
    count(*) as people
from lifecycle.runs as runs
inner join lifecycle.audiences as audiences on runs.run_id = audiences.run_id
left join lifecycle.messages as messages
    on messages.message_id = lifecycle.message_id(runs.journey, audiences.step, audiences.customer_id, audiences.anchor)
where
    runs.journey = :journey
    and runs.run_type <> 'missed'
    and runs.run_day between :from_day and :to_day
    and (messages.message_id is null or messages.run_id = runs.run_id)
group by 1, 2, 3, 4
order by 1, 2, 3, 4
