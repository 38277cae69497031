-- Lets a year of a large shop be sorted in memory, until the transaction ends.
select set_config('work_mem', '64MB', true)
