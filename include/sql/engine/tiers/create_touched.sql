-- The accounts whose tiers are told anew, until the transaction ends.
create temporary table if not exists touched_accounts (
    account_id bigint primary key
) on commit drop
