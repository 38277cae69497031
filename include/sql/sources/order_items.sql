-- The lines of the orders, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.order_items as
select
    order_items.order_id,
    order_items.line,
    order_items.product_id,
    order_items.quantity,
    order_items.unit_price_cents
from imported.order_items as order_items
