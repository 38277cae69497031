-- Everybody who signed up: the largest audience there is. Reads: shop.customers.
select
    customers.customer_id,
    'signup' as anchor
from shop.customers as customers
order by customers.customer_id
