-- Audiences that are too unusual to be written to before a person has said so. One row per run, step and audience: when
-- the audience is selected anew and differs, what was said about the old one counts no more.
create table lifecycle.held_audiences (
    run_id bigint not null,
    step text not null,
    people integer not null,
    -- Over everybody in it, whatever their order.
    fingerprint text not null,
    why text not null,
    held_at timestamptz not null default now(),
    decision text check (decision in ('approved', 'rejected', 'timed_out')),
    decided_by text,
    decided_at timestamptz,
    primary key (run_id, step, people, fingerprint)
);
