-- Counts the values of some rows of a mapping that break a rule: null where a value is required, of another form, out
-- of range. A pattern is asked of the value as JSON writes it. Counts only: no value leaves the database.
with facts as materialized (

    select to_jsonb(sampled) as fact
    from (
        select mapped.*
        from pg_temp.mapped as mapped
        order by :newest desc
        limit :sample
    ) as sampled

)

select
    rules.number,
    count(*) filter (
        where case
            when given.value is null then rules.is_required
            when rules.pattern is not null then given.value !~ rules.pattern
            when rules.least is not null
                then cast(given.value as numeric) not between rules.least and coalesce(rules.most, 9223372036854775807)
        end
    ) as broken,
    count(*) as examined
from facts
cross join lateral jsonb_each_text(facts.fact) as given (name, value)
inner join
    unnest(
        cast(:names as text[]),
        cast(:required as boolean[]),
        cast(:patterns as text[]),
        cast(:least as bigint[]),
        cast(:most as bigint[])
    ) with ordinality as rules (name, is_required, pattern, least, most, number)
    on given.name = rules.name
group by rules.number
order by rules.number
