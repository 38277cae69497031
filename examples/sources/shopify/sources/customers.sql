-- People of a Shopify-like shop. Known from: created_at, when the shop made the account.
-- A consent is the state as it stands today: whoever is not subscribed now shows none for any past day either, which
-- errs on the side of silence. Without the time of the consent, the row's last change is the day we can prove.
-- An SMS goes to a number with its country code only: a national one could be anybody's.
create or replace view source.customers as
select
    cast(customers.id as text) as customer_id,
    customers.created_at as signed_up_at,
    nullif(lower(btrim(customers.email)), '') as email,
    case
        when written.phone like '+%' and length(written.phone) between 8 and 16 then written.phone
    end as phone,
    nullif(btrim(customers.first_name), '') as first_name,
    nullif(btrim(customers.last_name), '') as last_name,
    customers.default_address ->> 'country_code' as country,
    customers.default_address ->> 'city' as city,
    customers.locale,
    cast(null as text) as timezone,
    cast(null as date) as birthday,
    case
        when customers.email_marketing_consent ->> 'state' = 'subscribed'
            then
                coalesce(
                    cast(customers.email_marketing_consent ->> 'consent_updated_at' as timestamptz),
                    customers.updated_at
                )
    end as email_opt_in_at,
    case
        when customers.sms_marketing_consent ->> 'state' = 'subscribed'
            then
                coalesce(
                    cast(customers.sms_marketing_consent ->> 'consent_updated_at' as timestamptz),
                    customers.updated_at
                )
    end as sms_opt_in_at,
    cast(null as text) as referred_by
from shopify.customers as customers
cross join lateral (
    select regexp_replace(customers.phone, '[^+0-9]', '', 'g') as phone
) as written
