-- What happy customers wrote within a year: four stars or five, the newest first, those of the very product before
-- those of its category (C-04, J-04). A review speaks of what was in its order. Never the own, nor one without words.
-- The anchor must be an order: whoever has another one gets nothing here.
-- Reads: audience, shop.order_items, shop.products, shop.reviews.
with bought as (

    select
        audience.customer_id,
        audience.anchor,
        items.product_id,
        products.category
    from audience
    inner join shop.order_items as items on audience.anchor = items.order_id
    inner join shop.products as products on items.product_id = products.product_id

),

-- The newest of each product and of each category; some of them may be the person's own.
said as (

    select
        reviews.review_id,
        reviews.customer_id as reviewer_id,
        reviews.reviewed_at,
        products.product_id,
        products.category,
        dense_rank() over (
            partition by products.product_id order by reviews.reviewed_at desc, reviews.review_id asc
        ) as place_of_product,
        dense_rank() over (
            partition by products.category order by reviews.reviewed_at desc, reviews.review_id asc
        ) as place_in_category
    from shop.reviews as reviews
    inner join shop.order_items as items on reviews.order_id = items.order_id
    inner join shop.products as products on items.product_id = products.product_id
    where
        reviews.rating >= 4
        and reviews.reviewed_at >= as_of() - interval '1 year'
        and btrim(reviews.body) <> ''

),

fitting as (

    select
        found.customer_id,
        found.anchor,
        found.review_id,
        found.reviewed_at,
        bool_or(found.is_of_product) as is_of_product,
        coalesce(
            min(found.product_id) filter (where found.is_of_product), min(found.product_id)
        ) as product_id
    from (
        select
            bought.customer_id,
            bought.anchor,
            said.review_id,
            said.reviewer_id,
            said.reviewed_at,
            said.product_id,
            true as is_of_product
        from bought
        inner join said on bought.product_id = said.product_id
        where said.place_of_product <= 8

        union all

        select
            of_category.customer_id,
            of_category.anchor,
            said.review_id,
            said.reviewer_id,
            said.reviewed_at,
            said.product_id,
            false as is_of_product
        from (
            select
                bought.customer_id,
                bought.anchor,
                bought.category
            from bought
            group by bought.customer_id, bought.anchor, bought.category
        ) as of_category
        inner join said on of_category.category = said.category
        where said.place_in_category <= 8
    ) as found
    where found.reviewer_id <> found.customer_id
    group by found.customer_id, found.anchor, found.review_id, found.reviewed_at

),

ranked as (

    select
        fitting.customer_id,
        fitting.anchor,
        fitting.review_id,
        fitting.product_id,
        row_number() over (
            partition by fitting.customer_id, fitting.anchor
            order by fitting.is_of_product desc, fitting.reviewed_at desc, fitting.review_id asc
        ) as place
    from fitting

)

select
    ranked.customer_id,
    ranked.anchor,
    ranked.review_id as item_id,
    ranked.place,
    products.name as product,
    reviews.rating,
    reviews.title,
    reviews.body
from ranked
inner join shop.reviews as reviews on ranked.review_id = reviews.review_id
inner join shop.products as products on ranked.product_id = products.product_id
where ranked.place <= 6
order by ranked.customer_id, ranked.anchor, ranked.place
