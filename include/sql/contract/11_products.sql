-- Products, without those launched at or after as_of().
-- Name, price and stock are as they stand today.
create or replace view shop.products as
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
from source.products as products
where products.launched_at is null or products.launched_at < lifecycle.as_of()
