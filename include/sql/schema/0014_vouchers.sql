-- Vouchers of every kind: what a code gives, where it came from, when it ends to the second, and who used it.

-- Codes of the shop system, imported. One that is taken stays here, so that it is never imported again.
create table lifecycle.voucher_codes (
    code_id bigint generated always as identity primary key,
    pool text not null,
    code text not null,
    -- As it is compared: without case, spaces and dashes.
    code_key text not null unique,
    is_taken boolean not null default false,
    imported_at timestamptz not null default now()
);
create index voucher_codes_left on lifecycle.voucher_codes (pool, code_id) where not is_taken;

-- A code that went back to its pool is given again: it is unique among the vouchers that hold.
alter table lifecycle.vouchers
drop constraint vouchers_pkey,
add column voucher_id bigint generated always as identity primary key,
alter column message_id drop not null,
alter column percent_off drop not null,
add column code_key text,
-- What it is given for, in words of whoever gives it: asking again gives the same one.
add column source text,
add column pool text,
add column kind text not null default 'percent' check (kind in ('percent', 'amount', 'free_shipping', 'gift')),
add column amount_cents bigint check (amount_cents > 0),
add column currency text check (currency ~ '^[A-Z]{3}$'),
add column gift text check (gift <> ''),
add column given_at timestamptz not null default now(),
-- When it was taken back, unused: the message did not leave, or somebody withdrew it. Nobody can use it.
add column released_at timestamptz,
add column redeemed_at timestamptz,
add column order_id text;

update lifecycle.vouchers
set code_key = replace(code, '-', ''), source = 'message/' || message_id, given_at = valid_from;

alter table lifecycle.vouchers
alter column code_key set not null,
alter column source set not null,
add constraint vouchers_source_key unique (source),
add check (case kind when 'percent' then percent_off is not null else percent_off is null end),
add check (case kind when 'amount' then amount_cents is not null else amount_cents is null end),
add check ((amount_cents is null) = (currency is null)),
add check (case kind when 'gift' then gift is not null else gift is null end),
add check ((redeemed_at is null) = (order_id is null)),
add check (released_at is null or redeemed_at is null);

create unique index vouchers_code on lifecycle.vouchers (code_key) where released_at is null;
create index vouchers_released_code on lifecycle.vouchers (code_key) where released_at is not null;
create index vouchers_of_pool on lifecycle.vouchers (pool, given_at) where pool is not null;

-- The last second of a voucher: of its last local day, as people read "until 5 December", or so many seconds on.
create function lifecycle.voucher_end(valid_from timestamptz, days integer, seconds bigint) returns timestamptz
language sql stable parallel safe
return case
    when seconds is null then date_trunc('day', valid_from) + make_interval(days => days + 1) - interval '1 second'
    else valid_from + make_interval(secs => seconds)
end;

-- Takes a voucher back that nobody used: a generated code is void for ever, a pool's goes back to its pool. Says
-- whether this call did it.
create function lifecycle.release_voucher(of_voucher bigint) returns boolean
language sql volatile
as $$
    with released as (

        update lifecycle.vouchers as vouchers
        set released_at = now()
        where
            vouchers.voucher_id = of_voucher
            and vouchers.released_at is null
            and vouchers.redeemed_at is null
        returning vouchers.code_key, vouchers.pool

    ),

    given_back as (

        update lifecycle.voucher_codes as codes
        set is_taken = false
        from released
        where codes.code_key = released.code_key and codes.pool = released.pool

    )

    select exists (select 1 from released);
$$;

-- Whatever ends a message that had a voucher and did not leave takes the voucher back, in the same transaction.
create function lifecycle.release_voucher_of_message() returns trigger
language plpgsql volatile
as $$
begin
    perform lifecycle.release_voucher(vouchers.voucher_id)
    from lifecycle.vouchers as vouchers
    where vouchers.message_id = new.message_id;
    return null;
end
$$;
create trigger release_voucher after update of send_state on lifecycle.messages
for each row
-- Vouchers are given after the first claim: whoever was never tried has none.
when (
    old.attempt_count > 0
    and new.send_state in ('skipped', 'rejected', 'cancelled')
    and old.send_state not in ('skipped', 'rejected', 'cancelled')
)
execute function lifecycle.release_voucher_of_message();

-- Each voucher with its state, which is made of facts and so is never behind them.
create view lifecycle.voucher_states as
select
    vouchers.voucher_id,
    vouchers.code,
    vouchers.code_key,
    vouchers.source,
    vouchers.message_id,
    vouchers.customer_id,
    vouchers.pool,
    vouchers.kind,
    vouchers.percent_off,
    vouchers.amount_cents,
    vouchers.currency,
    vouchers.gift,
    vouchers.given_at,
    vouchers.valid_from,
    vouchers.valid_until,
    vouchers.released_at,
    vouchers.redeemed_at,
    vouchers.order_id,
    case
        when vouchers.redeemed_at is not null then 'redeemed'
        when vouchers.released_at is not null then 'released'
        when vouchers.valid_until < date_trunc('second', now()) then 'expired'
        when messages.send_state in ('planned', 'queued', 'sending') then 'reserved'
        else 'issued'
    end as state
from lifecycle.vouchers as vouchers
left join lifecycle.messages as messages on vouchers.message_id = messages.message_id;

-- Uses a voucher for an order, once: whoever comes second waits for the row and reads that it was used. The same order
-- is told the same again. The code is good to its last second; one that is being sent may have arrived already.
create function lifecycle.redeem_voucher(
    of_key text, for_order text, by_customer text, at_time timestamptz
)
returns table (
    outcome text, code text, kind text, percent_off integer, amount_cents bigint, currency text, gift text,
    customer_id text, valid_from timestamptz, valid_until timestamptz, redeemed_at timestamptz
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    found_one lifecycle.vouchers%rowtype;
    used_at timestamptz := coalesce(at_time, now());
    answer text;
begin
    select vouchers.* into found_one
    from lifecycle.vouchers as vouchers
    where vouchers.code_key = of_key and vouchers.released_at is null
    for update;
    if not found then
        select vouchers.* into found_one
        from lifecycle.vouchers as vouchers
        where vouchers.code_key = of_key and vouchers.released_at is not null
        order by vouchers.voucher_id desc
        limit 1;
        if not found then
            return;
        end if;
        answer := 'void';
    elsif found_one.redeemed_at is not null then
        answer := case when found_one.order_id = for_order then 'redeemed' else 'used' end;
    elsif by_customer is not null and by_customer <> found_one.customer_id then
        answer := 'not_theirs';
    elsif used_at < found_one.valid_from then
        answer := 'not_yet_valid';
    elsif date_trunc('second', used_at) > found_one.valid_until then
        answer := 'expired';
    else
        update lifecycle.vouchers as vouchers
        set redeemed_at = used_at, order_id = for_order
        where vouchers.voucher_id = found_one.voucher_id;
        found_one.redeemed_at := used_at;
        answer := 'redeemed';
    end if;
    return query select
        answer, found_one.code, found_one.kind, found_one.percent_off, found_one.amount_cents, found_one.currency,
        found_one.gift, found_one.customer_id, found_one.valid_from, found_one.valid_until,
        -- When another order used it is nobody else's business.
        case when answer = 'redeemed' then found_one.redeemed_at end;
end
$$;
revoke all on function lifecycle.redeem_voucher(text, text, text, timestamptz) from public;
grant execute on function lifecycle.redeem_voucher(text, text, text, timestamptz) to lifecycle_receiver;

-- The voucher a page shows again; one that was taken back is shown to nobody.
drop function lifecycle.voucher_of_message(uuid);
create function lifecycle.voucher_of_message(of_message uuid)
returns table (
    code text, percent_off integer, amount_cents bigint, currency text, gift text,
    valid_from timestamptz, valid_until timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        vouchers.code, vouchers.percent_off, vouchers.amount_cents, vouchers.currency, vouchers.gift,
        vouchers.valid_from, vouchers.valid_until
    from lifecycle.vouchers as vouchers
    where vouchers.message_id = of_message and vouchers.released_at is null;
$$;
revoke all on function lifecycle.voucher_of_message(uuid) from public;
grant execute on function lifecycle.voucher_of_message(uuid) to lifecycle_receiver;
