-- Remembers which data set the demo loaded.
insert into lifecycle.demo_shop (fingerprint) values (:fingerprint)
on conflict (is_only_row) do update set fingerprint = excluded.fingerprint, loaded_at = now()
