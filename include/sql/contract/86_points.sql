-- What gave points to customers, or took them, before as_of(); corrections made later are counted in.
-- `tier_points` and `spend_cents` count towards tiers, from `counts_from` on: what a refund takes, whatever was left.
create or replace view shop.points as
select
    accounts.customer_id,
    entries.fact,
    entries.kind,
    entries.points,
    entries.occurred_at,
    entries.expires_at,
    case when entries.kind in ('earned', 'reversed') then entries.requested else 0 end as tier_points,
    entries.spend_cents,
    coalesce(entries.counts_from, entries.occurred_at) as counts_from
from lifecycle.points_entries as entries
inner join lifecycle.points_accounts as accounts on entries.account_id = accounts.account_id
where
    entries.occurred_at < lifecycle.as_of()
    and accounts.customer_id is not null
