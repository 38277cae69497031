-- Everything that happened to some accounts, one row per fact with all its revisions.
select
    entries.account_id,
    entries.fact,
    entries.kind,
    entries.policy,
    min(entries.occurred_at) as occurred_at,
    max(entries.expires_at) as expires_at,
    sum(entries.requested)::bigint as requested,
    sum(entries.points)::bigint as points
from lifecycle.points_entries as entries
where entries.account_id = any(cast(:account_ids as bigint[]))
group by entries.account_id, entries.fact, entries.kind, entries.policy
order by entries.account_id
