-- What a template may know about the people of some messages.
select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customers.email,
    customers.phone,
    customers.country,
    customers.city,
    customers.locale,
    customers.timezone,
    customers.birthday
from shop.customers as customers
where customers.customer_id = any(cast(:customer_ids as text[]))
