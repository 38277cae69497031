-- The columns an analyst's file returns, without running it.
select described.* from (
    :analyst_sql
) as described
where false
