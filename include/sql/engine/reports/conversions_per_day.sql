-- How many people each run day found converted.
select
    runs.run_day,
    count(*) as people
from lifecycle.conversions as conversions
inner join lifecycle.runs as runs on conversions.run_id = runs.run_id
where
    conversions.journey = :journey
    and runs.run_day between :from_day and :to_day
group by 1
order by 1
