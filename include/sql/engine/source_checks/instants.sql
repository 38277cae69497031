-- When some rows of a mapping are known from: how many different instants there are, and how many lie in the future.
select
    count(distinct facts.known_from) as instants,
    count(*) filter (where facts.known_from > now() + interval '2 days') as in_future
from (
    select mapped.:known_from as known_from
    from pg_temp.mapped as mapped
    order by :newest desc
    limit :sample
) as facts
