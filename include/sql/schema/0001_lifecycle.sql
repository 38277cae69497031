-- The lifecycle schema, first version: who entered a journey, what was sent to them, and what came back.

create schema if not exists lifecycle;
create schema if not exists source;
create schema if not exists shop;
create schema if not exists imported;

-- Segments, goals and earning rules run as this role: it sees the contract views and nothing else.
do $$
begin
    if not exists (select 1 from pg_roles where rolname = 'lifecycle_reader') then
        create role lifecycle_reader nologin nosuperuser nocreatedb nocreaterole;
    end if;
    execute format('grant lifecycle_reader to %I', current_user);
end
$$;

-- The instant a run answers for. Outside a run, in psql or any SQL client, it is now() unless
-- `set lifecycle.as_of = '2026-03-01'` says otherwise. The engine sets it per transaction.
create function lifecycle.as_of() returns timestamptz
language sql stable parallel safe
return coalesce(nullif(current_setting('lifecycle.as_of', true), '')::timestamptz, now());

-- The same under the short name that segment files use, so that they run unmodified in any SQL client.
create or replace function public.as_of() returns timestamptz
language sql stable parallel safe
return coalesce(nullif(current_setting('lifecycle.as_of', true), '')::timestamptz, now());

-- Suppressions are kept by this hash, so that they outlive the address itself.
create function lifecycle.address_hash(address text) returns bytea
language sql immutable parallel safe
return sha256(convert_to(lower(btrim(address)), 'UTF8'));

-- What a message is about: a business fact, never a run (architecture §5). Slashes inside the parts are escaped, so
-- that two facts never share a key.
create function lifecycle.dedupe_key(journey text, step text, customer_id text, anchor text) returns text
language sql immutable parallel safe
return journey || '/' || step || '/' || replace(customer_id, '/', '%2F') || '/' || replace(anchor, '/', '%2F');

-- The same as an id: the unique key of a message, so that one index does for both.
create function lifecycle.message_id(journey text, step text, customer_id text, anchor text) returns uuid
language sql immutable parallel safe
return md5(lifecycle.dedupe_key(journey, step, customer_id, anchor))::uuid;

create table lifecycle.runs (
    run_id bigint generated always as identity primary key,
    journey text not null,
    as_of timestamptz not null,
    run_day date not null,
    run_type text not null,
    -- How many whole days the run's own day lies behind the day it was executed on: 0 for a run in its time.
    -- Clicks on its messages are dated this much earlier, so that a past day can be played as if it were today.
    skew_days integer not null default 0,
    git_sha text not null default '',
    counts jsonb not null default '{}',
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    unique (journey, as_of)
);

create table lifecycle.audiences (
    run_id bigint not null references lifecycle.runs on delete cascade,
    step text not null,
    customer_id text not null,
    anchor text not null,
    variables jsonb not null default '{}',
    primary key (run_id, step, customer_id, anchor)
);

create table lifecycle.enrollments (
    enrollment_id bigint generated always as identity primary key,
    journey text not null,
    customer_id text not null,
    anchor text not null,
    entered_at timestamptz not null,
    exited_at timestamptz,
    exit_reason text,
    unique (journey, customer_id, anchor),
    check ((exited_at is null) = (exit_reason is null))
);
create index enrollments_open on lifecycle.enrollments (journey, customer_id) where exited_at is null;

create table lifecycle.messages (
    -- Both are made of what the message is about: planning it again, whenever and however, meets the same row. One
    -- index keeps both unique, because one is the digest of the other.
    message_id uuid primary key generated always as (
        lifecycle.message_id(journey, step, customer_id, anchor)
    ) stored,
    dedupe_key text not null generated always as (
        lifecycle.dedupe_key(journey, step, customer_id, anchor)
    ) stored,
    run_id bigint not null references lifecycle.runs,
    journey text not null,
    step text not null,
    customer_id text not null,
    anchor text not null,
    as_of timestamptz not null,
    run_day date not null,
    channel text not null check (channel in ('email', 'sms')),
    -- Marketing asks for consent and keeps to caps, quiet hours and arbitration; transactional does not (H-08).
    kind text not null default 'marketing' check (kind in ('marketing', 'transactional')),
    priority integer not null default 50,
    template text not null,
    template_sha text not null,
    address_hash bytea,
    variables jsonb not null default '{}',
    send_state text not null check (send_state in (
        'planned', 'queued', 'sending', 'accepted', 'uncertain', 'rejected', 'skipped', 'cancelled', 'unconfirmed'
    )),
    reason text,
    delivery_state text not null default 'none',
    attempt_id uuid,
    attempt_count integer not null default 0,
    lease_until timestamptz,
    retry_after timestamptz,
    provider text,
    provider_id text,
    planned_at timestamptz not null default now(),
    settled_at timestamptz,
    check ((send_state = 'skipped') <= (reason is not null))
);
create index messages_queued on lifecycle.messages (journey, step) where send_state = 'queued';
create index messages_in_flight on lifecycle.messages (lease_until) where send_state = 'sending';
create index messages_by_customer on lifecycle.messages (customer_id, run_day);
create index messages_by_run on lifecycle.messages (run_id, step);

-- How many marketing messages of a channel a person got, or may still get, in the days up to a run day (M-06). With
-- least_state `queued` what only waits counts too; with `sending` only what was handed over or is being handed over.
create function lifecycle.recent_messages(
    customer text, by_channel text, until_day date, days integer, least_state text
) returns bigint
language sql stable parallel safe
return (
    select count(*)
    from lifecycle.messages as messages
    where
        messages.customer_id = customer
        and messages.run_day > until_day - days
        and messages.run_day <= until_day
        and messages.channel = by_channel
        and messages.kind = 'marketing'
        and (
            messages.send_state in ('sending', 'accepted', 'uncertain', 'unconfirmed')
            or (least_state = 'queued' and messages.send_state in ('planned', 'queued'))
        )
);

-- Whether a person is left out of something on purpose, to measure what it does: the same answer for ever.
create function lifecycle.is_held_out(subject text, customer_id text, percent integer) returns boolean
language sql immutable parallel safe
return mod(('x' || left(md5(subject || '/' || customer_id), 8))::bit(32)::bigint, 100) < percent;

-- Append-only: one row per try, written when its outcome is known.
create table lifecycle.attempts (
    attempt_id uuid primary key,
    message_id uuid not null references lifecycle.messages,
    started_at timestamptz not null,
    ended_at timestamptz not null default now(),
    outcome text not null check (outcome in ('accepted', 'rejected', 'retry', 'uncertain', 'skipped', 'lost')),
    http_status integer,
    provider_code text not null default '',
    provider_id text not null default '',
    detail text not null default ''
);
create index attempts_by_message on lifecycle.attempts (message_id);

create table lifecycle.conversions (
    journey text not null,
    customer_id text not null,
    anchor text not null,
    converted_at timestamptz not null,
    run_id bigint not null references lifecycle.runs,
    -- The step whose message came last before the conversion and within the goal's days; null when none did.
    attributed_step text,
    primary key (journey, customer_id, anchor)
);
create index conversions_by_run on lifecycle.conversions (run_id);

-- Append-only: the latest row of a customer and channel wins; the shop's own opt-in counts as the first one.
create table lifecycle.consents (
    consent_id bigint generated always as identity primary key,
    customer_id text not null,
    channel text not null check (channel in ('email', 'sms')),
    is_granted boolean not null,
    source text not null,
    proof jsonb not null default '{}',
    occurred_at timestamptz not null default now()
);
create index consents_latest on lifecycle.consents (customer_id, channel, occurred_at desc, consent_id desc);

create table lifecycle.suppressions (
    channel text not null check (channel in ('email', 'sms')),
    address_hash bytea not null,
    reason text not null,
    source text not null,
    suppressed_at timestamptz not null default now(),
    lifted_at timestamptz,
    primary key (channel, address_hash, reason)
);

create table lifecycle.links (
    code text primary key,
    message_id uuid not null references lifecycle.messages,
    name text not null,
    -- Where the link leads; null means the landing page of the message.
    target_url text,
    unique (message_id, name)
);

create table lifecycle.engagements (
    engagement_id bigint generated always as identity primary key,
    message_id uuid not null references lifecycle.messages,
    customer_id text not null,
    journey text not null,
    step text not null,
    anchor text not null,
    kind text not null check (kind in ('click', 'answer', 'entry', 'reply')),
    is_machine boolean not null default false,
    properties jsonb not null default '{}',
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now()
);
create index engagements_by_customer on lifecycle.engagements (customer_id, occurred_at);
create index engagements_by_time on lifecycle.engagements (occurred_at);
create index engagements_by_message on lifecycle.engagements (message_id);
-- A form is answered once per message; sending it again corrects the answer.
create unique index engagements_one_answer on lifecycle.engagements (message_id, kind)
where kind in ('answer', 'entry');

create table lifecycle.vouchers (
    code text primary key,
    message_id uuid not null unique references lifecycle.messages,
    customer_id text not null,
    percent_off integer not null check (percent_off between 1 and 100),
    valid_from timestamptz not null,
    valid_until timestamptz not null,
    check (valid_until > valid_from)
);

-- The kill switch: 'all', a channel or a journey. No row means open.
create table lifecycle.send_controls (
    scope text primary key,
    state text not null check (state in ('open', 'paused')),
    reason text not null default '',
    changed_by text not null default '',
    changed_at timestamptz not null default now()
);

-- Which data set the demo loaded. Only a database that is empty or holds this row is ever emptied by the demo.
create table lifecycle.demo_shop (
    is_only_row boolean primary key default true check (is_only_row),
    fingerprint text not null,
    loaded_at timestamptz not null default now()
);
