-- Which migrations this database has seen.
create table if not exists public.lifecycle_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
)
