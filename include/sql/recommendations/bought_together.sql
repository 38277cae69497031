-- What others bought together with the products of an order, of the same line, most often first (C-03, J-04).
-- Counted are the orders of half a year. Never what the person ever ordered, nor what is out of stock or has no page.
-- The anchor must be an order: whoever has another one gets nothing here.
-- People and products are numbered, because millions of pairs of numbers are counted in a third less time than names.
-- Reads: audience, shop.orders, shop.order_items, shop.products.
with people as (

    select
        audience.customer_id,
        audience.anchor,
        row_number() over ()::integer as person
    from audience

),

-- The number of a product is its place by id, which decides between equals.
catalogue as (

    select
        products.product_id,
        products.line,
        products.name,
        products.url,
        coalesce(products.in_stock, true) and products.url like 'https://%' as is_offered,
        row_number() over (order by products.product_id)::integer as product
    from shop.products as products

),

bought as (

    select
        people.person,
        catalogue.line,
        catalogue.product
    from people
    inner join shop.order_items as items on people.anchor = items.order_id
    inner join catalogue on items.product_id = catalogue.product_id
    group by people.person, catalogue.line, catalogue.product

),

-- The orders of half a year, as far as they hold several products of a line.
baskets as (

    select array_agg(distinct catalogue.product) as products
    from shop.orders as orders
    inner join shop.order_items as items on orders.order_id = items.order_id
    inner join catalogue on items.product_id = catalogue.product_id
    where
        orders.ordered_at >= as_of() - interval '180 days'
        and catalogue.line is not null
    group by orders.order_id, catalogue.line
    having count(*) > 1

),

pairs as (

    select
        one.product,
        others.product as other,
        count(*) as times
    from baskets
    cross join unnest(baskets.products) as one (product)
    cross join unnest(baskets.products) as others (product)
    inner join catalogue on others.product = catalogue.product
    where
        one.product <> others.product
        and catalogue.is_offered
    group by one.product, others.product

),

-- The first eight of each product are enough, whatever a person has.
best as (

    select
        pairs.product,
        pairs.other,
        pairs.times,
        row_number() over (partition by pairs.product order by pairs.times desc, pairs.other asc) as place
    from pairs

),

-- What the person has of these lines.
owned as (

    select
        lines.person,
        catalogue.product
    from (
        select
            bought.person,
            bought.line
        from bought
        group by bought.person, bought.line
    ) as lines
    inner join people on lines.person = people.person
    inner join shop.orders as orders on people.customer_id = orders.customer_id
    inner join shop.order_items as items on orders.order_id = items.order_id
    inner join catalogue
        on
            items.product_id = catalogue.product_id
            and lines.line = catalogue.line

),

ranked as (

    select
        found.person,
        found.product,
        row_number() over (partition by found.person order by sum(found.times) desc, found.product asc) as place
    from (
        select
            bought.person,
            best.other as product,
            best.times,
            false as is_owned
        from bought
        inner join best on bought.product = best.product
        where best.place <= 8

        union all

        select
            owned.person,
            owned.product,
            null as times,
            true as is_owned
        from owned
    ) as found
    group by found.person, found.product
    having not bool_or(found.is_owned)

)

select
    people.customer_id,
    people.anchor,
    catalogue.product_id as item_id,
    ranked.place,
    catalogue.name,
    catalogue.url
from ranked
inner join people on ranked.person = people.person
inner join catalogue on ranked.product = catalogue.product
where ranked.place <= 3
order by people.customer_id, people.anchor, ranked.place
