-- Customers who have their birthday on the date it is where they live when the run starts, at nine (J-15, L-03).
-- Keep the hour the same as in the Dag. Without a known zone the store's clock counts. 29 February is 28 February in
-- other years. A birthday that was told or changed less than 30 days ago earns nothing. Anchor: the year.
-- Reads: shop.customers, shop.events, shop.zones.
with clocks as (

    -- The date in each zone now and a day ago: nobody is left out in the night in which clocks change.
    select
        zones.zone,
        ((as_of()::date + time '09:00')::timestamptz at time zone zones.zone)::date as today,
        ((as_of()::date - 1 + time '09:00')::timestamptz at time zone zones.zone)::date as day_before
    from shop.zones as zones

)

select
    customers.customer_id,
    extract(year from celebrated.on_day)::text as anchor
from shop.customers as customers
left join clocks on customers.timezone = clocks.zone
cross join
    lateral (
        select
            coalesce(clocks.today, as_of()::date) as today,
            coalesce(clocks.day_before, as_of()::date - 1) as day_before
    ) as own
cross join
    lateral (
        select
            (
                customers.birthday
                + make_interval(
                    years => (extract(year from own.today) - extract(year from customers.birthday))::integer
                )
            )::date as on_day
    ) as celebrated
where
    celebrated.on_day > own.day_before
    and celebrated.on_day <= own.today
    and customers.birthday < celebrated.on_day
    and customers.signed_up_at <= as_of() - interval '30 days'
    and not exists (
        select 1
        from shop.events as events
        where
            events.customer_id = customers.customer_id
            and events.name = 'birthday_changed'
            and events.properties ->> 'dependant' is null
            and events.occurred_at > as_of() - interval '30 days'
    )
order by customers.customer_id
