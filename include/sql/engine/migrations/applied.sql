-- The migrations this database has seen.
select name from public.lifecycle_migrations
