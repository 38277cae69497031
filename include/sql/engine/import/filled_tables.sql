-- Which imported tables hold rows already.
select filled.table_name
from (
    select
        'customers' as table_name,
        exists(select 1 from imported.customers) as has_rows
    union all
    select
        'products' as table_name,
        exists(select 1 from imported.products) as has_rows
    union all
    select
        'orders' as table_name,
        exists(select 1 from imported.orders) as has_rows
    union all
    select
        'order_items' as table_name,
        exists(select 1 from imported.order_items) as has_rows
    union all
    select
        'refunds' as table_name,
        exists(select 1 from imported.refunds) as has_rows
    union all
    select
        'reviews' as table_name,
        exists(select 1 from imported.reviews) as has_rows
    union all
    select
        'page_views' as table_name,
        exists(select 1 from imported.page_views) as has_rows
    union all
    select
        'carts' as table_name,
        exists(select 1 from imported.carts) as has_rows
    union all
    select
        'dependants' as table_name,
        exists(select 1 from imported.dependants) as has_rows
    union all
    select
        'events' as table_name,
        exists(select 1 from imported.events) as has_rows
) as filled
where filled.has_rows
