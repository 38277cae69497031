-- It happened, failed for good, or is tried again later.
update happenings
set
    state = :state,
    due_at = :due_at,
    attempts = attempts + 1
where id = :id
