-- What the shop sells, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.products as
select
    products.product_id,
    products.name,
    products.category,
    products.line,
    products.url,
    products.image_url,
    products.price_cents,
    products.currency,
    products.launched_at,
    products.in_stock
from imported.products as products
