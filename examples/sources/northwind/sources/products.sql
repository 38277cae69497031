-- What the wholesaler sells. Without a day of launch a product is shown for every past day.
-- Discontinued products stay, so that old orders find them, and are out of stock.
create or replace view source.products as
select
    cast(products.product_id as text) as product_id,
    cast(products.product_name as text) as name,
    cast(categories.category_name as text) as category,
    cast(suppliers.company_name as text) as line,
    cast(null as text) as url,
    cast(null as text) as image_url,
    cast(round(cast(products.unit_price as numeric) * 100) as bigint) as price_cents,
    'USD' as currency,
    cast(null as timestamptz) as launched_at,
    products.discontinued = 0 and coalesce(products.units_in_stock, 0) > 0 as in_stock
from northwind.products as products
left join northwind.categories as categories on products.category_id = categories.category_id
left join northwind.suppliers as suppliers on products.supplier_id = suppliers.supplier_id
