-- Fresh statistics, so that the first run after an import is planned for the data it finds.
analyze
imported.customers,
imported.products,
imported.orders,
imported.order_items,
imported.refunds,
imported.reviews,
imported.page_views,
imported.carts,
imported.dependants,
imported.events
