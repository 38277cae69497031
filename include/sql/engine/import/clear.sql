-- Empties every imported table; if the transaction rolls back, all of it is still there.
truncate table
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
