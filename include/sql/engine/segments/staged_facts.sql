-- Keeps what an earning rule finds: which facts since the instant asked for gave points to whom, or took them.
-- A rule may say more: what was spent, and from when on the fact counts. Where it does not, the names mean defaults.
insert into pg_temp.staged_points (fact, customer_id, occurred_at, points, spend_cents, counts_from)
select
    :rule || '/' || found.fact as fact,
    found.customer_id,
    found.occurred_at,
    found.points,
    found.spend_cents,
    found.counts_from
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
