-- The lines of the orders; known with their order. An order has a product once, so the product's number is the line: it
-- stays the same when somebody adds another. What was paid for one piece, after its discount.
create or replace view source.order_items as
select
    cast(details.order_id as text) as order_id,
    cast(details.product_id as integer) as line,
    cast(details.product_id as text) as product_id,
    cast(details.quantity as integer) as quantity,
    cast(
        round(cast(details.unit_price as numeric) * (1 - cast(details.discount as numeric)) * 100) as bigint
    ) as unit_price_cents
from northwind.order_details as details
inner join northwind.orders as orders on details.order_id = orders.order_id
where
    orders.order_date is not null
    and orders.customer_id is not null
