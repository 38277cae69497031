-- What Postgres expects of reading the newest rows of a mapping.
explain (format json)
select 1
from pg_temp.mapped as mapped
order by mapped.:known_from desc
limit :sample
