-- Whether a recommendation file returns each item once per customer and anchor, and none without them.
select
    count(*) as found,
    count(*) filter (where num_nulls(proven.customer_id, proven.anchor, proven.item_id, proven.place) > 0)
        as incomplete,
    count(*) - count(distinct row(proven.customer_id, proven.anchor, proven.item_id)) as repeated
from (
    :analyst_sql
) as proven
