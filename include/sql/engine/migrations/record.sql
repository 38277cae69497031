-- Remembers that a migration was applied.
insert into public.lifecycle_migrations (name) values (:name)
