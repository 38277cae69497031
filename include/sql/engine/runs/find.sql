-- The run of a journey for an instant.
select run_id from lifecycle.runs
where journey = :journey and as_of = :as_of
