-- Writes one entry, unless its fact is in the ledger.
insert into lifecycle.points_entries (
    fact, kind, account_id, other_side, requested, points, policy, occurred_at, details
)
values (
    :fact, :kind, :account_id, :other_side, :requested, :points, :policy, :occurred_at, cast(:details as jsonb)
)
on conflict (fact, revision) do nothing
returning points_entries.fact
