-- How many values of a column that name a row of another source name one that is not there.
select
    count(*) as named,
    count(*) filter (
        where not exists (
            select 1
            from :target as known
            where known.:key = facts.value
        )
    ) as unknown
from (
    select mapped.:column as value
    from pg_temp.mapped as mapped
    where mapped.:column is not null
    order by :newest desc
    limit :sample
) as facts
