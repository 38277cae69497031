-- What happened to a customer's points, oldest first, each fact once with all its revisions.
select
    entries.fact,
    entries.kind,
    min(entries.occurred_at) as occurred_at,
    sum(entries.points)::bigint as points,
    sum(sum(entries.points)) over (order by min(entries.occurred_at), entries.fact)::bigint as balance,
    max(entries.expires_at) as expires_at
from lifecycle.points_entries as entries
inner join lifecycle.points_accounts as accounts on entries.account_id = accounts.account_id
where accounts.customer_id = :customer_id
group by entries.fact, entries.kind
order by min(entries.occurred_at), entries.fact
