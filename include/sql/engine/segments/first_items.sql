-- Keeps the first items that a recommendation file finds for each person; three are enough (`recommendations.ENOUGH`),
-- whatever the files before had found of them.
insert into pg_temp.picked_items (list, file_number, customer_id, anchor, item_id, place, printable)
select
    :list as list,
    :file_number as file_number,
    item.customer_id::text as customer_id,
    item.anchor::text as anchor,
    item.item_id::text as item_id,
    item.place::integer as place,
    to_jsonb(item) - array['customer_id', 'anchor', 'item_id', 'place'] as printable
from (
    :analyst_sql
) as item
where item.place is null or item.place <= 3
