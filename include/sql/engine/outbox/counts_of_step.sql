-- What became of the people of a step's audience, by state and reason; a person planned by an earlier run counts as
-- `already_decided`.
select
    case
        when messages.run_id <> audiences.run_id then 'already_decided'
        else messages.send_state
    end as outcome,
    case when messages.run_id = audiences.run_id then messages.reason end as reason,
    count(*) as people
from lifecycle.audiences as audiences
inner join lifecycle.messages as messages
    on messages.message_id = lifecycle.message_id(:journey, audiences.step, audiences.customer_id, audiences.anchor)
where
    audiences.run_id = :run_id
    and audiences.step = :step
group by 1, 2
order by 1, 2
