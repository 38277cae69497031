-- What others bought together with the products of an order, of the same line, most often first (C-03, J-04).
-- Counted are the orders of half a year. Never what the person ever ordered, nor what is out of stock or has no page.
-- The anchor must be an order: whoever has another one gets nothing here.
-- Reads: audience, shop.orders, shop.order_items, shop.products.
with bought as (

    select distinct
        audience.customer_id,
        audience.anchor,
        items.product_id,
        products.line
    from audience
    inner join shop.order_items as items on audience.anchor = items.order_id
    inner join shop.products as products on items.product_id = products.product_id

),

-- How often each of these products was in one order with another one of its line, and with itself.
pairs as (

    select
        wanted.product_id,
        others.product_id as other_id,
        count(distinct others.order_id)::integer as times
    from (
        select
            bought.product_id,
            bought.line
        from bought
        group by bought.product_id, bought.line
    ) as wanted
    inner join shop.order_items as items on wanted.product_id = items.product_id
    inner join shop.orders as orders on items.order_id = orders.order_id
    inner join shop.order_items as others on items.order_id = others.order_id
    inner join shop.products as products
        on
            others.product_id = products.product_id
            and wanted.line = products.line
    where
        orders.ordered_at >= as_of() - interval '180 days'
        and products.in_stock is distinct from false
        and products.url like 'https://%'
    group by wanted.product_id, others.product_id

),

-- The first twelve of each product are enough, whatever a person has.
best as (

    select
        pairs.product_id,
        pairs.other_id,
        pairs.times,
        row_number() over (partition by pairs.product_id order by pairs.times desc, pairs.other_id asc) as place
    from pairs

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
        bought.customer_id,
        bought.anchor,
        best.other_id,
        row_number() over (
            partition by bought.customer_id, bought.anchor
            order by sum(best.times) desc, best.other_id asc
        ) as place
    from bought
    inner join best on bought.product_id = best.product_id
    left join owned
        on
            bought.customer_id = owned.customer_id
            and best.other_id = owned.product_id
    where
        best.place <= 12
        and owned.product_id is null
    group by bought.customer_id, bought.anchor, best.other_id

)

select
    ranked.customer_id,
    ranked.anchor,
    ranked.other_id as item_id,
    ranked.place,
    products.name,
    products.url
from ranked
inner join shop.products as products on ranked.other_id = products.product_id
where ranked.place <= 6
order by ranked.customer_id, ranked.anchor, ranked.place
