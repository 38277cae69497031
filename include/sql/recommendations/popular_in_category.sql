-- What most customers ordered within thirty days in the categories of an order (C-03).
-- Never what the person ever ordered, nor what is out of stock or has no page.
-- The anchor must be an order: whoever has another one gets nothing here.
-- Reads: audience, shop.orders, shop.order_items, shop.products.
with liked as (

    select distinct
        audience.customer_id,
        audience.anchor,
        products.category
    from audience
    inner join shop.order_items as items on audience.anchor = items.order_id
    inner join shop.products as products on items.product_id = products.product_id

),

sold as (

    select
        products.category,
        items.product_id,
        count(distinct orders.customer_id) as buyers
    from shop.orders as orders
    inner join shop.order_items as items on orders.order_id = items.order_id
    inner join shop.products as products on items.product_id = products.product_id
    where
        orders.ordered_at >= as_of() - interval '30 days'
        and products.in_stock is distinct from false
        and products.url like 'https://%'
    group by products.category, items.product_id

),

-- The first eight of each category are enough, whatever a person has.
best as (

    select
        sold.category,
        sold.product_id,
        sold.buyers,
        row_number() over (partition by sold.category order by sold.buyers desc, sold.product_id asc) as place
    from sold

),

owned as (

    select
        audience.customer_id,
        items.product_id
    from audience
    inner join shop.orders as orders on audience.customer_id = orders.customer_id
    inner join shop.order_items as items on orders.order_id = items.order_id

),

ranked as (

    select
        liked.customer_id,
        liked.anchor,
        best.product_id,
        row_number() over (
            partition by liked.customer_id, liked.anchor
            order by best.buyers desc, best.product_id asc
        ) as place
    from liked
    inner join best on liked.category = best.category
    left join owned
        on
            liked.customer_id = owned.customer_id
            and best.product_id = owned.product_id
    where
        best.place <= 8
        and owned.product_id is null

)

select
    ranked.customer_id,
    ranked.anchor,
    ranked.product_id as item_id,
    ranked.place,
    products.name,
    products.url
from ranked
inner join shop.products as products on ranked.product_id = products.product_id
where ranked.place <= 3
order by ranked.customer_id, ranked.anchor, ranked.place
