-- Referrals: who brought whom, and what was given for it (F-01 to F-06). Ids and codes only: nothing names a person.

alter table imported.orders
-- The code a friend came with, and the subscription an order belongs to.
add column referral_code text,
add column subscription_id text;
create index orders_with_referral on imported.orders (ordered_at) where referral_code is not null;
create index orders_of_subscription on imported.orders (customer_id, subscription_id, ordered_at)
where subscription_id is not null;

-- A mapping that does not know a column of the contract that was added later gives it as null, and goes on working.
create function lifecycle.complete_view(of_schema text, of_view text, wanted text, of_type text) returns void
language plpgsql volatile
as $$
declare
    known oid := to_regclass(format('%I.%I', of_schema, of_view));
begin
    if not exists (select 1 from pg_attribute where attrelid = known and attname = wanted and attnum > 0) then
        execute format(
            'create or replace view %I.%I as select given.*, cast(null as %s) as %I from (%s) as given',
            of_schema, of_view, of_type, wanted, rtrim(pg_get_viewdef(known), ';')
        );
    end if;
end
$$;

-- The code in a customer's link: one for ever, made when it is first asked for (F-01).
create table lifecycle.referral_codes (
    customer_id text primary key,
    code_key text not null unique,
    created_at timestamptz not null default now()
);

-- What an order claims: that its customer is the friend of somebody. The verdict stands as it was found first; what
-- becomes of the claim later is told by the orders and refunds.
create table lifecycle.referral_claims (
    order_id text primary key,
    friend_id text not null,
    -- Nobody, when the code is unknown.
    referrer_id text,
    claimed_at timestamptz not null,
    refused text check (refused in ('unknown_code', 'self', 'not_new', 'claimed_before', 'circular')),
    recorded_at timestamptz not null default now(),
    check (referrer_id is not null or refused = 'unknown_code'),
    check (refused is not null or referrer_id <> friend_id)
);
-- A friend is brought once, whoever claims it at the same time.
create unique index referral_claims_friend on lifecycle.referral_claims (friend_id) where refused is null;
create index referral_claims_of_friend on lifecycle.referral_claims (friend_id);
create index referral_claims_of_referrer on lifecycle.referral_claims (referrer_id) where refused is null;

-- Money that referrers are owed: a share of each renewal of their friends (F-04), and what is taken back. One row per
-- fact, never changed.
create table lifecycle.referral_cash (
    fact text primary key,
    kind text not null check (kind in ('renewal', 'refunded', 'cancelled', 'credit_used')),
    referrer_id text not null,
    friend_id text not null,
    order_id text,
    amount_cents bigint not null,
    currency text not null,
    percent integer,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    check ((kind = 'renewal') = (amount_cents > 0)),
    check ((kind = 'credit_used') = (order_id is null))
);
create index referral_cash_of_referrer on lifecycle.referral_cash (referrer_id);

create function lifecycle.refuse_to_change_cash() returns trigger
language plpgsql
as $$
begin
    raise exception 'Money that is owed is never changed or deleted'
        using hint = 'What has to be corrected is a further fact';
end
$$;
create trigger referral_cash_is_final
before update or delete on lifecycle.referral_cash
for each statement execute function lifecycle.refuse_to_change_cash();

-- Who brought so many friends that shipping is free for life: once per customer, whoever finds out (F-03).
create table lifecycle.free_shipping (
    customer_id text primary key,
    -- The friend who made it so many, when that was, and since when friends are counted.
    friend_id text not null,
    reached_at timestamptz not null,
    friends integer not null,
    counted_from timestamptz not null,
    recorded_at timestamptz not null default now()
);

-- A code as it is compared, the same as of a voucher: in capitals, without what people type between the letters.
create function lifecycle.referral_key(typed text) returns text
language sql immutable parallel safe
return regexp_replace(upper(normalize(typed, nfkc)), '[^A-Z0-9]', '', 'g');

-- The mailbox behind an address: without a tag (ana+2@), and without the dots that one large provider ignores.
create function lifecycle.mailbox(address text) returns text
language sql immutable parallel safe
return case
    when split_part(lower(btrim(address)), '@', 2) in ('gmail.com', 'googlemail.com')
        then replace(split_part(split_part(lower(btrim(address)), '@', 1), '+', 1), '.', '') || '@gmail.com'
    else
        split_part(split_part(lower(btrim(address)), '@', 1), '+', 1)
        || '@' || split_part(lower(btrim(address)), '@', 2)
end;

-- How long after an order nothing is given for it: whole days of 24 hours, so that no zone changes the answer.
create function lifecycle.refund_window() returns interval
language sql stable parallel safe
return make_interval(
    hours => 24 * coalesce(nullif(current_setting('lifecycle.referral_refund_days', true), ''), '30')::integer
);

-- What has to be left of an order after its refunds, in hundredths, so that it counts.
create function lifecycle.least_order_cents() returns bigint
language sql stable parallel safe
return coalesce(nullif(current_setting('lifecycle.referral_least_cents', true), ''), '1')::bigint;

-- Whether the receiver may lead on: somebody has this code.
create function lifecycle.is_referral_code(of_key text) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (select 1 from lifecycle.referral_codes as codes where codes.code_key = of_key);
$$;
revoke all on function lifecycle.is_referral_code(text) from public;
grant execute on function lifecycle.is_referral_code(text) to lifecycle_receiver;
