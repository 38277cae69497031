-- The time of the newest fact, and the zone most customers live in: where a first replay should look.
select
    greatest(
        (select max(customers.signed_up_at) from imported.customers as customers),
        (select max(orders.ordered_at) from imported.orders as orders),
        (select max(refunds.refunded_at) from imported.refunds as refunds),
        (select max(reviews.reviewed_at) from imported.reviews as reviews),
        (select max(page_views.viewed_at) from imported.page_views as page_views),
        (select max(carts.updated_at) from imported.carts as carts),
        (select max(events.occurred_at) from imported.events as events)
    ) as newest_at,
    (
        select mode() within group (order by customers.timezone)
        from imported.customers as customers
    ) as timezone
