-- Gives the plan of a step the memory to hold its audience. Postgres knows nothing yet about the size of an audience
-- that was just selected, and would look a million people up one by one; above 1,000 it is told to join them as a set.
select
    set_config('work_mem', '64MB', true),
    set_config('jit', 'off', true),
    set_config('enable_nestloop', case when people.are_many then 'off' else 'on' end, true)
from (
    select count(*) > 1000 as are_many
    from (
        select 1
        from lifecycle.audiences as audiences
        where
            audiences.run_id = :run_id
            and audiences.step = :step
        order by audiences.customer_id
        limit 1001
    ) as counted
) as people
