-- Customers whose child, or whoever else they buy for, has a birthday on the date it is where the customer lives.
-- The rules are those of own_birthday.sql (J-15). Who have their birthday on one day are named in one message.
-- Anchor: the year and their names. Reads: shop.dependants, shop.customers, shop.events, shop.zones.
with clocks as (

    select
        zones.zone,
        ((as_of()::date + time '09:00')::timestamptz at time zone zones.zone)::date as today,
        ((as_of()::date - 1 + time '09:00')::timestamptz at time zone zones.zone)::date as day_before
    from shop.zones as zones

)

select
    dependants.customer_id,
    extract(year from celebrated.on_day)::text || ' ' || string_agg(dependants.name, ', ' order by dependants.name)
        as anchor,
    array_agg(dependants.name order by dependants.name) filter (where btrim(dependants.name) <> '') as names
from shop.dependants as dependants
inner join shop.customers as customers on dependants.customer_id = customers.customer_id
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
                dependants.birthday
                + make_interval(
                    years => (extract(year from own.today) - extract(year from dependants.birthday))::integer
                )
            )::date as on_day
    ) as celebrated
where
    celebrated.on_day > own.day_before
    and celebrated.on_day <= own.today
    and dependants.birthday < celebrated.on_day
    and customers.signed_up_at <= as_of() - interval '30 days'
    and not exists (
        select 1
        from shop.events as events
        where
            events.customer_id = dependants.customer_id
            and events.name = 'birthday_changed'
            and events.properties ->> 'dependant' = dependants.name
            and events.occurred_at > as_of() - interval '30 days'
    )
group by dependants.customer_id, celebrated.on_day
order by dependants.customer_id, celebrated.on_day
