-- The columns an analyst's file returns, without running it.
select * from (
{analyst_sql}
) as described limit 0
