-- What the person looked at within thirty days and never ordered, what they saw last first (C-03).
-- Nothing that is out of stock or has no page. Whatever the anchor is about.
-- Reads: audience, shop.page_views, shop.orders, shop.order_items, shop.products.
with viewed as (

    select
        audience.customer_id,
        audience.anchor,
        views.product_id,
        row_number() over (
            partition by audience.customer_id, audience.anchor
            order by max(views.viewed_at) desc, views.product_id asc
        ) as place
    from audience
    inner join shop.page_views as views on audience.customer_id = views.customer_id
    inner join shop.products as products on views.product_id = products.product_id
    where
        views.viewed_at >= as_of() - interval '30 days'
        and products.in_stock is distinct from false
        and products.url like 'https://%'
        and not exists (
            select 1
            from shop.orders as orders
            inner join shop.order_items as items on orders.order_id = items.order_id
            where
                orders.customer_id = audience.customer_id
                and items.product_id = views.product_id
        )
    group by audience.customer_id, audience.anchor, views.product_id

)

select
    viewed.customer_id,
    viewed.anchor,
    viewed.product_id as item_id,
    viewed.place,
    products.name,
    products.url
from viewed
inner join shop.products as products on viewed.product_id = products.product_id
where viewed.place <= 3
order by viewed.customer_id, viewed.anchor, viewed.place
