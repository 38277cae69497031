-- Gives the plan of a step the memory to hold its audience, and has everything joined as sets: Postgres knows nothing
-- yet about an audience that was selected a moment ago, and would compare everybody with everybody.
select
    set_config('work_mem', '64MB', true),
    set_config('jit', 'off', true),
    set_config('enable_nestloop', 'off', true)
