-- Dependants of the customers who had signed up before as_of().
create or replace view shop.dependants as
select
    dependants.customer_id,
    dependants.name,
    dependants.birthday
from source.dependants as dependants
inner join source.customers as customers on dependants.customer_id = customers.customer_id
where customers.signed_up_at < lifecycle.as_of()
