-- How many people a step has in a run, and how many it usually has: the median of the same weekday in the 28 days
-- before, unknown when it was selected on none of them.
select
    selections.people,
    runs.run_day,
    (
        select percentile_cont(0.5) within group (order by earlier.people)
        from lifecycle.runs as earlier_runs
        inner join lifecycle.selections as earlier on earlier_runs.run_id = earlier.run_id
        where
            earlier_runs.journey = runs.journey
            and earlier.step = selections.step
            and earlier_runs.run_day in (
                runs.run_day - 7, runs.run_day - 14, runs.run_day - 21, runs.run_day - 28
            )
    ) as usual
from lifecycle.runs as runs
inner join lifecycle.selections as selections on runs.run_id = selections.run_id
where
    runs.run_id = :run_id
    and selections.step = :step
