-- The lines of the orders placed before as_of().
create or replace view shop.order_items as
select
    order_items.order_id,
    order_items.line,
    order_items.product_id,
    order_items.quantity,
    order_items.unit_price_cents
from source.order_items as order_items
inner join source.orders as orders on order_items.order_id = orders.order_id
where orders.ordered_at < lifecycle.as_of()
