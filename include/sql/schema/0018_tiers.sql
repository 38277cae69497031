-- Tiers: what of the ledger counts towards them and since when, what is declared, and who was in which (L-08).

-- What a fact says about the money somebody spent; and when that began to count, if not when it happened: a refund goes
-- with its order, so that both leave the time that is looked at together.
alter table lifecycle.points_entries
add column spend_cents bigint not null default 0,
add column counts_from timestamptz;

-- An order that is too small for a point is spend all the same.
alter table lifecycle.points_entries
drop constraint points_entries_check1,
add constraint points_entries_say_what_they_are check (
    kind = 'adjusted'
    or revision > 1
    or (requested > 0 or (requested = 0 and spend_cents > 0)) = (kind = 'earned')
);

-- Analysts ask what moved in the days before a run.
create index points_entries_by_time on lifecycle.points_entries (occurred_at);

-- The tiers of a programme as its Dag file declares them, lowest first.
create table lifecycle.tier_levels (
    programme text not null,
    tier text not null,
    place integer not null check (place > 0),
    from_points bigint,
    from_spend_cents bigint,
    tier_days integer not null,
    percent_off integer,
    free_shipping boolean not null,
    draw_entries integer not null,
    primary key (programme, tier),
    unique (programme, place)
);

-- What points buy, as the Dag file declares it.
create table lifecycle.rewards (
    programme text not null,
    reward text not null,
    points bigint not null check (points > 0),
    percent_off integer,
    product_id text,
    charity text,
    primary key (programme, reward)
);

-- From when until when an account is in a tier: told from the ledger alone and written anew when the ledger changes.
-- What is already certain to end has its end in the future, unless something is earned until then.
create table lifecycle.tier_periods (
    programme text not null,
    account_id bigint not null,
    since timestamptz not null,
    until timestamptz check (until > since),
    tier text not null,
    changed_from text,
    primary key (programme, account_id, since)
);
