-- What follows in the transaction is asked as usual again.
select set_config(known.name, known.reset_val, true)
from pg_settings as known
where known.name in ('work_mem', 'jit')
