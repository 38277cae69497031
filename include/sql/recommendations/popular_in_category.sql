-- What most customers ordered within thirty days in the categories of an order (C-03).
-- Never what the person ever ordered, nor what is out of stock or has no page.
-- The anchor must be an order: whoever has another one gets nothing here.
-- People and products are numbered, because a million rows of numbers are sorted in half the time of names.
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
        products.category,
        products.name,
        products.url,
        coalesce(products.in_stock, true) and products.url like 'https://%' as is_offered,
        row_number() over (order by products.product_id)::integer as product
    from shop.products as products

),

liked as (

    select distinct
        people.person,
        catalogue.category
    from people
    inner join shop.order_items as items on people.anchor = items.order_id
    inner join catalogue on items.product_id = catalogue.product_id

),

sold as (

    select
        catalogue.category,
        catalogue.product,
        catalogue.product_id,
        count(distinct orders.customer_id) as buyers
    from shop.orders as orders
    inner join shop.order_items as items on orders.order_id = items.order_id
    inner join catalogue on items.product_id = catalogue.product_id
    where
        orders.ordered_at >= as_of() - interval '30 days'
        and catalogue.is_offered
    group by catalogue.category, catalogue.product, catalogue.product_id

),

-- The first eight of each category are enough, whatever a person has.
best as (

    select
        placed.category,
        placed.product,
        placed.product_id,
        placed.buyers
    from (
        select
            sold.category,
            sold.product,
            sold.product_id,
            sold.buyers,
            row_number() over (partition by sold.category order by sold.buyers desc, sold.product asc) as place
        from sold
    ) as placed
    where placed.place <= 8

),

-- Who has what of these: much less than what everybody has of everything.
owned as (

    select
        people.person,
        catalogue.product
    from shop.order_items as items
    inner join catalogue on items.product_id = catalogue.product_id
    inner join shop.orders as orders on items.order_id = orders.order_id
    inner join people on orders.customer_id = people.customer_id
    where items.product_id in (select best.product_id from best)

),

ranked as (

    select
        liked.person,
        best.product,
        row_number() over (partition by liked.person order by best.buyers desc, best.product asc) as place
    from liked
    inner join best on liked.category = best.category
    left join owned
        on
            liked.person = owned.person
            and best.product = owned.product
    where owned.product is null

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
