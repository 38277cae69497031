-- What Postgres expects an analyst's file to cost, without running it.
explain (format json)
select explained.* from (
    :analyst_sql
) as explained
