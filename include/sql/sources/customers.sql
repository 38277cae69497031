-- People of the shop, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.customers as
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
    customers.email_opt_in_at,
    customers.sms_opt_in_at,
    customers.referred_by
from imported.customers as customers
