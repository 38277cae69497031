-- The lines of the orders; known with their order. What was paid for one piece, after its discount.
-- Left out: lines without a product, such as a gift card sold by hand, and orders that source.orders leaves out.
create or replace view source.order_items as
select
    cast(line_items.order_id as text) as order_id,
    line_items.position as line,
    cast(line_items.product_id as text) as product_id,
    line_items.quantity,
    cast(
        round(
            (
                cast(line_items.price as numeric)
                - cast(line_items.total_discount as numeric) / greatest(line_items.quantity, 1)
            )
            * 100
        ) as bigint
    ) as unit_price_cents
from shopify.line_items as line_items
inner join shopify.orders as orders on line_items.order_id = orders.id
where
    line_items.product_id is not null
    and orders.customer_id is not null
    and not orders.test
