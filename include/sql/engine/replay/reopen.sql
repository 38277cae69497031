-- Lets the goal look at everybody who ever entered, also at those whose journey had ended without it.
update lifecycle.enrollments
set exited_at = null, exit_reason = null
where journey = :journey and exited_at is not null
