-- Where the ledger and the facts of the accrued days differ; measured against what was asked for, not what was given.
-- What was spent matters to programmes whose tiers ask for it.
with
expected as (
    select
        staged_points.fact,
        staged_points.customer_id,
        staged_points.occurred_at,
        staged_points.points,
        staged_points.spend_cents,
        staged_points.counts_from
    from pg_temp.staged_points as staged_points
    inner join lifecycle.accrued_days as accrued_days
        on date(staged_points.occurred_at) = accrued_days.day
    where
        accrued_days.programme = :programme
        and (staged_points.points <> 0 or (:is_spend_counted and staged_points.spend_cents <> 0))
),

kept as (
    select
        entries.fact,
        entries.kind,
        entries.policy,
        accounts.account_id,
        accounts.customer_id,
        min(entries.occurred_at) as occurred_at,
        sum(entries.requested)::bigint as points,
        sum(entries.spend_cents)::bigint as spend_cents,
        max(entries.counts_from) as counts_from
    from lifecycle.points_entries as entries
    inner join lifecycle.points_accounts as accounts on entries.account_id = accounts.account_id
    where
        entries.kind in ('earned', 'reversed')
        and split_part(entries.fact, '/', 1) = any(cast(:rules as text[]))
    group by entries.fact, entries.kind, entries.policy, accounts.account_id, accounts.customer_id
)

select
    coalesce(kept.fact, expected.fact) as fact,
    coalesce(kept.customer_id, expected.customer_id) as customer_id,
    kept.kind,
    kept.policy,
    kept.account_id,
    coalesce(kept.occurred_at, expected.occurred_at) as occurred_at,
    coalesce(kept.points, 0) as in_ledger,
    coalesce(expected.points, 0) as in_facts,
    coalesce(kept.spend_cents, 0) as cents_in_ledger,
    coalesce(expected.spend_cents, 0) as cents_in_facts,
    coalesce(expected.counts_from, kept.counts_from) as counts_from
from expected
full outer join kept
    on expected.fact = kept.fact and expected.customer_id = kept.customer_id
where
    coalesce(kept.points, 0) <> coalesce(expected.points, 0)
    or (:is_spend_counted and coalesce(kept.spend_cents, 0) <> coalesce(expected.spend_cents, 0))
order by fact
