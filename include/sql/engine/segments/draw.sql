-- Reads who takes part in a draw, and how often.
select
    taking_part.customer_id::text as customer_id,
    taking_part.entries::integer as entries
from (
    :analyst_sql
) as taking_part
