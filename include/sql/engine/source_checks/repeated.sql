-- How many of some rows of a mapping repeat a key; keys with a hole in them are counted elsewhere.
select count(*) - count(distinct keys.key) as repeated
from (
    select to_jsonb(mapped) as fact
    from pg_temp.mapped as mapped
    order by :newest desc
    limit :sample
) as facts
cross join
    lateral (
        select array_agg(facts.fact ->> parts.name) as key
        from unnest(cast(:key as text[])) as parts (name)
    ) as keys
where array_position(keys.key, null) is null
