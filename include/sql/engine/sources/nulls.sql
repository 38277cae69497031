-- Which share of the newest facts of a source lacks a value in columns that must have one.
select
    required.name,
    count(*) as facts,
    avg(case when newest.fact -> required.name = 'null'::jsonb then 1 else 0 end) as share
from (
    select to_jsonb(facts) as fact
    from :source as facts
    order by :known_from desc
    limit :sample
) as newest
cross join unnest(cast(:columns as text[])) as required (name)
group by required.name
order by required.name
