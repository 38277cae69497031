-- Reads a goal: which enrollment reached it, and when.
select
    goal.customer_id::text as customer_id,
    goal.anchor::text as anchor,
    goal.converted_at::timestamptz as converted_at
from (
    :analyst_sql
) as goal
