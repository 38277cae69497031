-- Joins many facts by hash or by merge. What the planner knows of a table may be wrong while a transaction fills it: a
-- loop that was planned for one entry ran over a million of them without an end.
select set_config('enable_nestloop', 'off', true)
from (
    select count(*) as facts
    from pg_temp.staged_points
) as staged
where staged.facts > 10000
