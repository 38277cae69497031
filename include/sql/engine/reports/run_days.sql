-- The days a journey was run on.
select runs.run_day
from lifecycle.runs as runs
where
    runs.journey = :journey
    and runs.run_type <> 'missed'
    and runs.run_day between :from_day and :to_day
order by runs.run_day
