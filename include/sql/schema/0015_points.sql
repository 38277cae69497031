-- The points ledger: what each fact gave to or took from a customer, never changed, never lost (L-01 to L-10).

-- Whoever has points. An erased customer leaves a nameless account behind, so that the sums still hold.
create table lifecycle.points_accounts (
    account_id bigint generated always as identity primary key,
    customer_id text unique,
    opened_at timestamptz not null default now()
);

-- Double entry in one row: the points go to (or come from) the customer's account, and come from (or go to) the other
-- side, so that an entry that does not balance cannot be written. A fact has one entry; what has to be corrected about
-- it later is its next revision.
create table lifecycle.points_entries (
    -- What happened, such as `ordered/536365`: a business fact and never a run.
    fact text not null,
    revision integer not null default 1 check (revision > 0),
    kind text not null check (kind in ('earned', 'reversed', 'redeemed', 'expired', 'adjusted')),
    account_id bigint not null references lifecycle.points_accounts,
    other_side text not null,
    -- What the fact asks for, and what it got: under the policy `clamp` a refund takes no more than there is.
    requested bigint not null,
    points bigint not null,
    policy text check (policy in ('allow_debt', 'clamp')),
    occurred_at timestamptz not null,
    expires_at timestamptz,
    details jsonb not null default '{}',
    recorded_at timestamptz not null default now(),
    primary key (fact, revision),
    check ((kind = 'reversed') = (policy is not null)),
    check (kind = 'adjusted' or revision > 1 or (requested > 0) = (kind = 'earned'))
);
create index points_entries_of_account on lifecycle.points_entries (account_id) include (points, kind);
create index points_entries_expiring on lifecycle.points_entries (expires_at) where expires_at is not null;

-- The local days whose facts were accrued: what the ledger has to agree with.
create table lifecycle.accrued_days (
    programme text not null,
    day date not null,
    accrued_at timestamptz not null default now(),
    primary key (programme, day)
);

-- Both sides of every entry: each fact sums up to 0, and so does everything.
create view lifecycle.points_lines as
select
    entries.fact,
    entries.revision,
    'customer/' || entries.account_id as account,
    entries.points
from lifecycle.points_entries as entries
union all
select
    entries.fact,
    entries.revision,
    entries.other_side as account,
    -entries.points as points
from lifecycle.points_entries as entries;

-- Nobody changes the past, the owner of the tables included: a mistake is corrected by another entry.
create function lifecycle.refuse_to_change_points() returns trigger
language plpgsql
as $$
begin
    raise exception 'Points are never changed or deleted'
        using hint = 'Correct them with another entry: lifecycle points adjust';
end
$$;
create trigger points_entries_are_final
before update or delete or truncate on lifecycle.points_entries
for each statement execute function lifecycle.refuse_to_change_points();

-- Whoever writes points works as this role, which can add and cannot change.
do $$
begin
    if not exists (select 1 from pg_roles where rolname = 'lifecycle_ledger') then
        create role lifecycle_ledger nologin nosuperuser nocreatedb nocreaterole;
    end if;
    execute format('grant lifecycle_ledger to %I', current_user);
end
$$;
grant usage on schema lifecycle to lifecycle_ledger;
grant select, insert on lifecycle.points_entries to lifecycle_ledger;
-- To lock an account is a right to update it in Postgres; the column that may be updated is never written.
grant select, insert, update (opened_at) on lifecycle.points_accounts to lifecycle_ledger;

-- What one unit of money is worth: 10 points, unless the settings say otherwise.
create function lifecycle.points_per_unit() returns numeric
language sql stable parallel safe
return coalesce(nullif(current_setting('lifecycle.points_per_unit', true), ''), '10')::numeric;

-- How many points an amount of money is worth, rounded down unless the settings say otherwise. Money comes in
-- hundredths of its unit, whatever the currency.
create function lifecycle.points_for(amount_cents bigint) returns bigint
language sql stable parallel safe
return case coalesce(nullif(current_setting('lifecycle.points_rounding', true), ''), 'down')
    when 'nearest' then round(amount_cents * lifecycle.points_per_unit() / 100)
    when 'up' then ceil(amount_cents * lifecycle.points_per_unit() / 100)
    else floor(amount_cents * lifecycle.points_per_unit() / 100)
end::bigint;

-- The same under the short name that earning rules use.
create function public.points_for(amount_cents bigint) returns bigint
language sql stable parallel safe
return lifecycle.points_for(amount_cents);

-- From which instant on an accrual looks at facts; from the beginning unless the engine says otherwise.
create function lifecycle.accrued_from() returns timestamptz
language sql stable parallel safe
return coalesce(nullif(current_setting('lifecycle.accrued_from', true), '')::timestamptz, '-infinity'::timestamptz);
