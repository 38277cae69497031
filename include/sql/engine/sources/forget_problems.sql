-- Forgets what was wrong with the sources of a run when they were looked at before.
delete from lifecycle.source_checks
where
    journey = :journey
    and as_of = :as_of
    and problem <> ''
