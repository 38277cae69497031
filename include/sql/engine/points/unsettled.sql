-- Whose refunds may now take another amount than they did, and whose points expired since the last look.
with
touched as (
    select accounts.account_id
    from pg_temp.staged_points as staged_points
    inner join lifecycle.points_accounts as accounts on staged_points.customer_id = accounts.customer_id
)

select entries.account_id
from lifecycle.points_entries as entries
where
    (entries.policy = 'clamp' or entries.expires_at <= :as_of)
    and entries.account_id in (select touched.account_id from touched)
union
select lots.account_id
from lifecycle.points_entries as lots
where
    lots.expires_at <= :as_of
    and lots.revision = 1
    and not exists (
        select 1
        from lifecycle.points_entries as swept
        where swept.fact = 'expired/' || lots.fact
    )
order by account_id
