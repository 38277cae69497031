-- Forgets the audience of a step before it is selected again.
delete from lifecycle.audiences
where run_id = :run_id and step = :step
