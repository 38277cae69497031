-- Customers whose order was delivered since the last run day, with the guide for what they bought (J-05).
-- Which guide goes with what stands in the list: a category, or a single product by its id, which wins. The words of a
-- guide are in the template. Nobody has to learn about the rest: they are skipped as nothing_to_teach.
-- An order that arrives so late that the thanks are due is taught on the day after them.
-- Anchor: the order. Reads: shop.order_outcomes, shop.order_items, shop.products.
with guides as (

    select
        listed.about,
        listed.guide
    from (
        values
        ('Skin care', 'skin_care'),
        ('Hair care', 'hair_care'),
        ('Tea', 'tea'),
        ('Candles', 'candles')
    ) as listed (about, guide)

)

select
    orders.customer_id,
    orders.order_id as anchor,
    lesson.product,
    lesson.guide,
    case when lesson.guide is null then 'nothing_to_teach' end as skip_reason
from shop.order_outcomes as orders
cross join
    lateral (
        select
            case
                when orders.delivered_at < orders.ordered_at + interval '6 days' then orders.delivered_at
                else greatest(orders.delivered_at, orders.ordered_at + interval '7 days') + interval '1 day'
            end as due_at
    ) as lesson_day
left join
    lateral (
        select
            products.name as product,
            guides.guide
        from shop.order_items as items
        inner join shop.products as products on items.product_id = products.product_id
        inner join guides on guides.about in (products.product_id, products.category)
        where items.order_id = orders.order_id
        order by
            (guides.about = products.product_id) desc,
            items.unit_price_cents desc,
            items.line asc
        limit 1
    ) as lesson
    on true
where
    orders.ordered_at >= as_of() - interval '90 days'
    and orders.delivered_at is not null
    and lesson_day.due_at >= as_of() - interval '1 day'
    and lesson_day.due_at < as_of()
    and orders.cancelled_at is null
    and orders.returned_at is null
    and orders.next_ordered_at is null
order by orders.customer_id
