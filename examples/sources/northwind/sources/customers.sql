-- Customers of a Northwind-like wholesaler: the person to talk to. Known from: their first order, because the table has
-- no day of its own; whoever never ordered is left out, since nobody can say from when on they were known.
-- There is no e-mail address and no consent in these tables, so no marketing goes to anybody until people agree on a
-- form of your own (a table with the time of each consent, to be joined here).
-- A national number is read by its country; of a country that is not listed it could be anybody's, so it is left empty.
create or replace view source.customers as
select
    cast(btrim(customers.customer_id) as text) as customer_id,
    first_order.signed_up_at,
    cast(null as text) as email,
    case
        when written.phone ~ '^[+][1-9][0-9]{7,14}$' then written.phone
    end as phone,
    nullif(split_part(btrim(customers.contact_name), ' ', 1), '') as first_name,
    nullif(btrim(regexp_replace(btrim(customers.contact_name), '^[^ ]+', '')), '') as last_name,
    cast(customers.country as text) as country,
    cast(customers.city as text) as city,
    cast(null as text) as locale,
    cast(null as text) as timezone,
    cast(null as date) as birthday,
    cast(null as timestamptz) as email_opt_in_at,
    cast(null as timestamptz) as sms_opt_in_at,
    cast(null as text) as referred_by
from northwind.customers as customers
inner join (
    select
        orders.customer_id,
        min((orders.order_date + time '23:59:59') at time zone 'Europe/London') as signed_up_at
    from northwind.orders as orders
    where orders.order_date is not null
    group by orders.customer_id
) as first_order on customers.customer_id = first_order.customer_id
left join (
    -- The number of the country, and what is dialled before a number inside it.
    values ('UK', '+44', '0'), ('Germany', '+49', '0'), ('USA', '+1', '1'), ('Canada', '+1', '1')
) as dialling (country, code, trunk) on customers.country = dialling.country
cross join lateral (
    select
        dialling.code
        || regexp_replace(regexp_replace(customers.phone, '[^0-9]', '', 'g'), '^' || dialling.trunk, '') as phone
) as written
