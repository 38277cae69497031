-- How many steps were due for somebody on the days of a span, as far as their audiences are kept.
select
    runs.run_day,
    sum(selections.people)::bigint as people
from lifecycle.runs as runs
inner join lifecycle.selections as selections on runs.run_id = selections.run_id
where
    runs.journey = :journey
    and runs.run_day between :from_day and :to_day
group by runs.run_day
