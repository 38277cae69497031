-- Closes a run with what it did.
update lifecycle.runs
set finished_at = now(), counts = cast(:counts as jsonb)
where run_id = :run_id
