-- Writes what was found and is not in the ledger yet. What a refund takes under `clamp` is settled afterwards.
insert into lifecycle.points_entries (
    fact, kind, account_id, other_side, requested, points, policy, occurred_at, expires_at, spend_cents, counts_from
)
select
    staged_points.fact,
    signs.kind,
    accounts.account_id,
    signs.kind as other_side,
    staged_points.points as requested,
    case when signs.kind = 'reversed' and :policy = 'clamp' then 0 else staged_points.points end as points,
    case when signs.kind = 'reversed' then :policy end as policy,
    staged_points.occurred_at,
    case
        when staged_points.points > 0 and :expire_days > 0
            then date_trunc('day', staged_points.occurred_at) + make_interval(days => :expire_days + 1)
    end as expires_at,
    staged_points.spend_cents,
    staged_points.counts_from
from pg_temp.staged_points as staged_points
inner join lifecycle.points_accounts as accounts on staged_points.customer_id = accounts.customer_id
cross join
    lateral (
        select
            case
                when staged_points.points > 0 or (staged_points.points = 0 and staged_points.spend_cents > 0)
                    then 'earned'
                else 'reversed'
            end as kind
    ) as signs
where staged_points.points <> 0 or staged_points.spend_cents <> 0
order by staged_points.fact
on conflict (fact, revision) do nothing
