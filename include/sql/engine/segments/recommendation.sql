-- Reads a recommendation file: which item for whom, at which place, and the columns its template may use.
select
    item.customer_id::text as customer_id,
    item.anchor::text as anchor,
    item.item_id::text as item_id,
    item.place::integer as place,
    (to_jsonb(item) - 'customer_id' - 'anchor' - 'item_id' - 'place')::text as printable
from (
    :analyst_sql
) as item
