-- The day the journey was switched on: the first one that a run was executed for.
select min(runs.run_day) as first_day
from lifecycle.runs as runs
where
    runs.journey = :journey
    and runs.run_type <> 'missed'
