-- What a journey's sources looked like when a run began: so that one that shrank, or lost its values, is noticed.
create table lifecycle.source_checks (
    check_id bigint generated always as identity primary key,
    journey text not null,
    as_of timestamptz not null,
    source text not null,
    row_count bigint not null,
    newest_at timestamptz,
    -- Of the columns that every row must have: the share of the newest facts that lack a value, by name.
    null_shares jsonb not null,
    -- Why the journey was held; empty when nothing was wrong.
    problem text not null default '',
    -- Who said that the source is right as it is.
    accepted_by text,
    checked_at timestamptz not null default now()
);
create index source_checks_of_source on lifecycle.source_checks (journey, source, check_id);
