-- How many people each run day found converted: those who reached the goal since the run before it.
select
    runs.run_day,
    count(*) as people
from lifecycle.conversions as conversions
cross join
    lateral (
        select first_to_know.run_day
        from lifecycle.runs as first_to_know
        where
            first_to_know.journey = conversions.journey
            and first_to_know.as_of > conversions.converted_at
            and first_to_know.run_type <> 'missed'
        order by first_to_know.as_of
        limit 1
    ) as runs
where
    conversions.journey = :journey
    and runs.run_day between :from_day and :to_day
group by runs.run_day
order by runs.run_day
