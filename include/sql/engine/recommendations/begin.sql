-- Gives recommendations the memory to be found for everybody at once.
select
    set_config('work_mem', '64MB', true),
    set_config('jit', 'off', true)
