-- Whom the segment picked, in its order, with the first items of each list: of one that two files found, the earlier
-- file's. A list without items is empty.
with items_once as (

    select distinct on (items.list, items.customer_id, items.anchor, items.item_id) items.*
    from pg_temp.picked_items as items
    order by
        items.list asc, items.customer_id asc, items.anchor asc, items.item_id asc,
        items.file_number asc, items.place asc

),

in_order as (

    select
        items_once.*,
        row_number() over (
            partition by items_once.list, items_once.customer_id, items_once.anchor
            order by items_once.file_number, items_once.place, items_once.item_id
        ) as number
    from items_once

),

lists as (

    select
        in_order.customer_id,
        in_order.anchor,
        in_order.list,
        jsonb_agg(in_order.printable order by in_order.file_number, in_order.place, in_order.item_id) as items
    from in_order
    where in_order.number <= :most
    group by in_order.customer_id, in_order.anchor, in_order.list

),

filled as (

    select
        lists.customer_id,
        lists.anchor,
        jsonb_object_agg(lists.list, lists.items) as variables
    from lists
    group by lists.customer_id, lists.anchor

)

select
    people.customer_id,
    people.anchor,
    people.variables || cast(:empty_lists as jsonb) || coalesce(filled.variables, '{}') as variables
from pg_temp.picked_people as people
left join filled
    on
        people.customer_id = filled.customer_id
        and people.anchor = filled.anchor
order by people.number
