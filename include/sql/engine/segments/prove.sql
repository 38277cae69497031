-- Whether an analyst's file returns one row per customer and anchor, and none without them.
select
    count(*) as found,
    count(*) filter (where proven.customer_id is null) as nameless,
    count(*) filter (where proven.anchor is null) as unanchored,
    count(*) - count(distinct row(proven.customer_id, proven.anchor)) as repeated
from (
    :analyst_sql
) as proven
