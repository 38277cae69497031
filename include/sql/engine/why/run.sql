-- The run of a journey for a day, with how each step's audience was selected, and about what the person was in it.
select
    runs.run_id,
    runs.run_type,
    runs.late_days,
    runs.git_sha,
    runs.started_at,
    runs.finished_at,
    selections.step,
    selections.sql_sha,
    audiences.anchor,
    audiences.variables ->> 'skip_reason' as skip_reason
from lifecycle.runs as runs
left join lifecycle.selections as selections on runs.run_id = selections.run_id
left join lifecycle.audiences as audiences
    on
        selections.run_id = audiences.run_id
        and selections.step = audiences.step
        and audiences.customer_id = :customer_id
where
    runs.journey = :journey
    and runs.as_of = :as_of
order by selections.step, audiences.anchor
