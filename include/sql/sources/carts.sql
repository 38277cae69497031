-- Carts as last seen, with their items as JSON, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.carts as
select
    carts.cart_id,
    carts.customer_id,
    carts.updated_at,
    carts.items,
    carts.checked_out_at
from imported.carts as carts
