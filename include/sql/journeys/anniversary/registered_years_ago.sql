-- Customers who registered on this day of an earlier year, by the store's clock (J-16).
-- The anniversary of 29 February is 28 February in other years. Anchor: how many years it is. Reads: shop.customers.
select
    customers.customer_id,
    past.years::text as anchor,
    past.years
from shop.customers as customers
cross join
    lateral (
        select extract(year from as_of())::integer - extract(year from customers.signed_up_at)::integer as years
    ) as past
where (customers.signed_up_at::date + make_interval(years => past.years))::date = as_of()::date
order by customers.customer_id
