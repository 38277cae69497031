-- What the shop sells: drafts and archived products left out. Known from: published_at.
-- A product has variants: its price is the lowest, and it is in stock when one of them can be bought.
create or replace view source.products as
select
    cast(products.id as text) as product_id,
    products.title as name,
    products.product_type as category,
    products.vendor as line,
    'https://shop.example.com/products/' || products.handle as url,
    products.image_src as image_url,
    offers.price_cents,
    -- The currency of the shop; orders have their own.
    'GBP' as currency,
    products.published_at as launched_at,
    coalesce(offers.in_stock, false) as in_stock
from shopify.products as products
cross join
    lateral (
        select
            cast(round(min(cast(variants.price as numeric)) * 100) as bigint) as price_cents,
            bool_or(variants.inventory_quantity > 0 or variants.inventory_policy = 'continue') as in_stock
        from shopify.variants as variants
        where variants.product_id = products.id
    ) as offers
where products.status = 'active'
