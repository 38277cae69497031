-- The days of a span that a run ended for.
select runs.run_day
from lifecycle.runs as runs
where
    runs.journey = :journey
    and runs.run_day between :from_day and :to_day
    and runs.run_type <> 'missed'
    and runs.finished_at is not null
