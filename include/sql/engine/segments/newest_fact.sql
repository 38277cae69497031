-- When the newest order or visit happened; null while no data is loaded.
select greatest(
    (select max(orders.ordered_at) from shop.orders as orders),
    (select max(page_views.viewed_at) from shop.page_views as page_views)
) as newest
