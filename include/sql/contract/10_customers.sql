-- Customers who had signed up before as_of(); a consent given later is not shown yet.
create or replace view shop.customers as
select
    customers.customer_id,
    customers.signed_up_at,
    customers.email,
    customers.phone,
    customers.first_name,
    customers.last_name,
    customers.country,
    customers.city,
    customers.locale,
    customers.timezone,
    customers.birthday,
    case
        when customers.email_opt_in_at < lifecycle.as_of() then customers.email_opt_in_at
    end as email_opt_in_at,
    case
        when customers.sms_opt_in_at < lifecycle.as_of() then customers.sms_opt_in_at
    end as sms_opt_in_at,
    customers.referred_by
from source.customers as customers
where customers.signed_up_at < lifecycle.as_of()
