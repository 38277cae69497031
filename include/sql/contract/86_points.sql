-- What gave points to customers, or took them, before as_of(); corrections made later are counted in.
create or replace view shop.points as
select
    accounts.customer_id,
    entries.fact,
    entries.kind,
    entries.points,
    entries.occurred_at,
    entries.expires_at
from lifecycle.points_entries as entries
inner join lifecycle.points_accounts as accounts on entries.account_id = accounts.account_id
where
    entries.occurred_at < lifecycle.as_of()
    and accounts.customer_id is not null
