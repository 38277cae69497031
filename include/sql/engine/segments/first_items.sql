-- Reads the first items of a recommendation file for each person; three are enough (`recommendations.ENOUGH`), whatever
-- the files before had found of them.
select
    item.customer_id::text as customer_id,
    item.anchor::text as anchor,
    item.item_id::text as item_id,
    item.place::integer as place,
    (to_jsonb(item) - 'customer_id' - 'anchor' - 'item_id' - 'place')::text as printable
from (
    :analyst_sql
) as item
where item.place is null or item.place <= 3
