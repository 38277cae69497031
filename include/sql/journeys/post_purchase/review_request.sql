-- Customers who are asked to rate their order, unless they have written a review of it (J-06).
-- When is yours to say: so many days after the order was 'delivered', or after it was 'ordered'; 0 days after 'ordered'
-- asks right after buying, before anything is delivered.
-- Anchor: the order. Reads: shop.order_outcomes, shop.order_items, shop.products, shop.reviews.
with timing as (

    select
        14 as days,
        'delivered' as counted_from

)

select
    orders.customer_id,
    orders.order_id as anchor,
    (
        select products.name
        from shop.order_items as items
        inner join shop.products as products on items.product_id = products.product_id
        where items.order_id = orders.order_id
        order by items.unit_price_cents desc, items.line asc
        limit 1
    ) as product
from shop.order_outcomes as orders
cross join timing
cross join
    lateral (
        select
            case timing.counted_from when 'ordered' then orders.ordered_at else orders.delivered_at end
            + make_interval(days => timing.days) as due_at
    ) as request
where
    orders.ordered_at >= as_of() - interval '90 days'
    and request.due_at >= as_of() - interval '1 day'
    and request.due_at < as_of()
    and orders.cancelled_at is null
    and orders.returned_at is null
    and orders.next_ordered_at is null
    and not exists (
        select 1
        from shop.reviews as reviews
        where reviews.order_id = orders.order_id
    )
order by orders.customer_id
