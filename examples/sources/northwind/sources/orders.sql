-- Orders of a Northwind-like wholesaler, whose clocks know days only. Known from: the last second of order_date where
-- the office is, because before that nobody can prove the order was there; the same for shipped_date.
-- required_date is a wish and no delivery, and nothing says that an order was cancelled. Freight is not revenue.
-- Orders without a day or a customer are left out: nobody can say when, or who.
create or replace view source.orders as
select
    cast(orders.order_id as text) as order_id,
    cast(btrim(orders.customer_id) as text) as customer_id,
    (orders.order_date + time '23:59:59') at time zone 'Europe/London' as ordered_at,
    -- Rounded once, at the end; `real` becomes the decimal that was typed before anything is multiplied.
    coalesce(
        (
            select
                cast(
                    round(
                        sum(
                            cast(details.unit_price as numeric)
                            * details.quantity
                            * (1 - cast(details.discount as numeric))
                        )
                        * 100
                    ) as bigint
                )
            from northwind.order_details as details
            where details.order_id = orders.order_id
        ),
        0
    ) as total_cents,
    'USD' as currency,
    cast(null as timestamptz) as cancelled_at,
    (orders.shipped_date + time '23:59:59') at time zone 'Europe/London' as shipped_at,
    cast(null as timestamptz) as delivered_at
from northwind.orders as orders
where
    orders.order_date is not null
    and orders.customer_id is not null
