-- What became of the people of a step's audience, by state and reason; a person planned by an earlier run counts as
-- `already_decided`.
select
    messages.send_state as outcome,
    messages.reason,
    count(*) as people
from lifecycle.messages as messages
where
    messages.run_id = :run_id
    and messages.step = :step
group by messages.send_state, messages.reason
union all
select
    'already_decided' as outcome,
    null as reason,
    count(*) as people
from lifecycle.audiences as audiences
where
    audiences.run_id = :run_id
    and audiences.step = :step
    and not exists (
        select 1
        from lifecycle.messages as messages
        where
            messages.run_id = :run_id
            and messages.step = :step
            and messages.customer_id = audiences.customer_id
            and messages.anchor = audiences.anchor
    )
having count(*) > 0
order by outcome, reason
