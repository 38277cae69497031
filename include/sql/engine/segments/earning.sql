-- Reads an earning rule: which facts since the instant asked for gave points to whom, or took them.
select
    earning.fact::text as fact,
    earning.customer_id::text as customer_id,
    earning.occurred_at::timestamptz as occurred_at,
    earning.points::bigint as points
from (
    :analyst_sql
) as earning
where earning.occurred_at >= lifecycle.accrued_from()
