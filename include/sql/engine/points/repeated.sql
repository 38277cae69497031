-- A fact that a rule returned more than once.
select
    staged_points.fact,
    count(*) as times
from pg_temp.staged_points as staged_points
group by staged_points.fact
having count(*) > 1
order by staged_points.fact
limit 1
