-- Writes the next revision of some facts: the difference to what they asked for and got so far.
insert into lifecycle.points_entries (
    fact, revision, kind, account_id, other_side, requested, points, policy, occurred_at, spend_cents, counts_from
)
select
    corrections.fact,
    coalesce(last_revisions.revision, 0) + 1 as revision,
    corrections.kind,
    corrections.account_id,
    corrections.kind as other_side,
    corrections.requested,
    corrections.points,
    corrections.policy,
    corrections.occurred_at,
    corrections.spend_cents,
    corrections.counts_from
from
    unnest(
        cast(:facts as text[]),
        cast(:kinds as text[]),
        cast(:account_ids as bigint[]),
        cast(:requested as bigint[]),
        cast(:points as bigint[]),
        cast(:policies as text[]),
        cast(:occurred_ats as timestamptz[]),
        cast(:spend_cents as bigint[]),
        cast(:counts_from as timestamptz[])
    ) as corrections (
        fact, kind, account_id, requested, points, policy, occurred_at, spend_cents, counts_from
    )
left join lateral (
    select max(entries.revision) as revision
    from lifecycle.points_entries as entries
    where entries.fact = corrections.fact
) as last_revisions on true
order by corrections.fact
