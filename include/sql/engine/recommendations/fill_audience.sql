-- Has the next file look for those who lack items in a list. Whom the segment skips needs none.
with enough as (

    select
        items.customer_id,
        items.anchor
    from pg_temp.picked_items as items
    where items.list = :list
    group by items.customer_id, items.anchor
    having count(distinct items.item_id) >= :most

),

emptied as (

    delete from pg_temp.audience
    where true

)

insert into pg_temp.audience (customer_id, anchor)
select
    people.customer_id,
    people.anchor
from pg_temp.picked_people as people
left join enough
    on
        people.customer_id = enough.customer_id
        and people.anchor = enough.anchor
where
    enough.customer_id is null
    and people.variables ->> 'skip_reason' is null
