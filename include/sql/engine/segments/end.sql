-- Reads the end of a journey: which enrollments end without a reaction.
select
    ended.customer_id::text as customer_id,
    ended.anchor::text as anchor
from (
    :analyst_sql
) as ended
