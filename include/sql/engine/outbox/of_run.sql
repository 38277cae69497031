-- Everybody who was due in a run, with what was decided for them.
select
    audiences.step,
    audiences.customer_id,
    audiences.anchor,
    case
        when messages.message_id is null then 'not_planned'
        when messages.run_id <> audiences.run_id then 'already_decided'
        else messages.send_state
    end as outcome,
    coalesce(case when messages.run_id = audiences.run_id then messages.reason end, '') as reason
from lifecycle.audiences as audiences
left join lifecycle.messages as messages
    on messages.message_id = lifecycle.message_id(:journey, audiences.step, audiences.customer_id, audiences.anchor)
where audiences.run_id = :run_id
