-- How each customer may be reached now: address, consent and suppression per channel. It is made for looking up people
-- one by one; the plan, which asks about a whole audience, states the same rules set-wise (outbox/plan_step.sql).
-- On purpose not as of a past instant: a refusal counts from the moment it is given, whatever day a run answers for.
-- The latest consent wins; the shop's opt-in counts as one, given at its time (H-08).
create or replace view lifecycle.contacts as
select
    customers.customer_id,
    reachable.channel,
    reachable.address,
    reachable.address_hash,
    coalesce(latest.is_granted, reachable.opted_in_at is not null) as has_consent,
    coalesce(refusals.is_suppressed, false) as is_suppressed,
    -- A STOP, a complaint and an address that takes nothing hold for every message, not for marketing alone.
    coalesce(refusals.is_blocked, false) as is_blocked
from shop.customers as customers
cross join
    lateral (
        -- Two parts, so that who asks about one channel does not pay for the digest of the other address.
        select
            'email' as channel,
            nullif(btrim(customers.email), '') as address,
            lifecycle.address_hash(nullif(btrim(customers.email), '')) as address_hash,
            customers.email_opt_in_at as opted_in_at
        union all
        select
            'sms' as channel,
            nullif(btrim(customers.phone), '') as address,
            lifecycle.address_hash(nullif(btrim(customers.phone), '')) as address_hash,
            customers.sms_opt_in_at as opted_in_at
    ) as reachable
left join lateral (
    select consents.is_granted
    from lifecycle.consents as consents
    where
        consents.customer_id = customers.customer_id
        and consents.channel = reachable.channel
        and consents.occurred_at >= coalesce(reachable.opted_in_at, '-infinity')
    order by consents.occurred_at desc, consents.consent_id desc
    limit 1
) as latest on true
left join lateral (
    select
        count(*) > 0 as is_suppressed,
        coalesce(
            bool_or(suppressions.reason in ('stop', 'bounced', 'complained', 'invalid_address')), false
        ) as is_blocked
    from lifecycle.suppressions as suppressions
    where
        suppressions.channel = reachable.channel
        and suppressions.address_hash = reachable.address_hash
        and suppressions.lifted_at is null
) as refusals on true
