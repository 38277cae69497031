-- Reads an earning rule: which facts since the instant asked for gave points to whom, or took them.
-- A rule may say more: what was spent, and from when on the fact counts. Where it does not, the names mean defaults.
select found.*
from (
    select
        0::bigint as spend_cents,
        null::timestamptz as counts_from
) as absent
cross join
    lateral (
        select
            fact::text as fact,
            customer_id::text as customer_id,
            occurred_at::timestamptz as occurred_at,
            points::bigint as points,
            spend_cents::bigint as spend_cents,
            counts_from::timestamptz as counts_from
        from (
            :analyst_sql
        ) as earning
        where occurred_at >= lifecycle.accrued_from()
    ) as found
