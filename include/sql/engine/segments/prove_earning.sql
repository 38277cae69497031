-- Whether an earning rule returns each fact once, and none without its customer, time and points.
select
    count(*) as found,
    count(*) filter (
        where num_nulls(
            proven.fact, proven.customer_id, proven.occurred_at::timestamptz, proven.points::bigint
        ) > 0
    ) as incomplete,
    count(*) - count(distinct proven.fact) as repeated
from (
    :analyst_sql
) as proven
