-- Reads a segment: who, about which business fact, and the columns its template may use.
select
    segment.customer_id::text as customer_id,
    segment.anchor::text as anchor,
    to_jsonb(segment) - 'customer_id' - 'anchor' as variables
from (
    :analyst_sql
) as segment
