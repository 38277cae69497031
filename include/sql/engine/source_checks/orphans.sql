-- How many values of a column that name a row of another source name one that is not there.
with named as materialized (

    select mapped.:column as value
    from pg_temp.mapped as mapped
    where mapped.:column is not null
    order by :newest desc
    limit :sample

)

select
    (select count(*) from named) as named,
    (
        select count(*)
        from named
        where
            not exists (
                select 1
                from :target as known
                where known.:key = named.value
            )
    ) as unknown
