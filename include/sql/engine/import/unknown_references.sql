-- Values that point to a row that is not there, at most 1,000 per column.
-- The import then looks up their lines.
(
    select distinct
        'customers' as table_name,
        'referred_by' as column_name,
        customers.referred_by as unknown_value
    from imported.customers as customers
    where
        customers.referred_by is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = customers.referred_by
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'orders' as table_name,
        'customer_id' as column_name,
        orders.customer_id as unknown_value
    from imported.orders as orders
    where
        orders.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = orders.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'order_items' as table_name,
        'order_id' as column_name,
        order_items.order_id as unknown_value
    from imported.order_items as order_items
    where
        order_items.order_id is not null
        and not exists (
            select 1
            from imported.orders as known
            where known.order_id = order_items.order_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'refunds' as table_name,
        'customer_id' as column_name,
        refunds.customer_id as unknown_value
    from imported.refunds as refunds
    where
        refunds.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = refunds.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'refunds' as table_name,
        'order_id' as column_name,
        refunds.order_id as unknown_value
    from imported.refunds as refunds
    where
        refunds.order_id is not null
        and not exists (
            select 1
            from imported.orders as known
            where known.order_id = refunds.order_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'reviews' as table_name,
        'customer_id' as column_name,
        reviews.customer_id as unknown_value
    from imported.reviews as reviews
    where
        reviews.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = reviews.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'reviews' as table_name,
        'order_id' as column_name,
        reviews.order_id as unknown_value
    from imported.reviews as reviews
    where
        reviews.order_id is not null
        and not exists (
            select 1
            from imported.orders as known
            where known.order_id = reviews.order_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'page_views' as table_name,
        'customer_id' as column_name,
        page_views.customer_id as unknown_value
    from imported.page_views as page_views
    where
        page_views.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = page_views.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'carts' as table_name,
        'customer_id' as column_name,
        carts.customer_id as unknown_value
    from imported.carts as carts
    where
        carts.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = carts.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'dependants' as table_name,
        'customer_id' as column_name,
        dependants.customer_id as unknown_value
    from imported.dependants as dependants
    where
        dependants.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = dependants.customer_id
        )
    order by unknown_value
    limit 1000
)
union all
(
    select distinct
        'events' as table_name,
        'customer_id' as column_name,
        events.customer_id as unknown_value
    from imported.events as events
    where
        events.customer_id is not null
        and not exists (
            select 1
            from imported.customers as known
            where known.customer_id = events.customer_id
        )
    order by unknown_value
    limit 1000
)
