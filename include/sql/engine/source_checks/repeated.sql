-- How many of some rows of a mapping repeat a key; keys with a hole in them are counted elsewhere.
select count(*) - count(distinct row(:key)) as repeated
from (
    select mapped.*
    from pg_temp.mapped as mapped
    order by :newest desc
    limit :sample
) as facts
where row(:key) is not null
