-- Which of some functions are volatile: they may act, wait, or answer differently each time.
select distinct functions.proname::text as name
from pg_catalog.pg_proc as functions
where
    functions.proname = any(cast(:names as text[]))
    and functions.provolatile = 'v'
order by name
