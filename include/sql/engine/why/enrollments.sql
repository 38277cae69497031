-- When a person entered a journey and left it, the newest first.
select
    enrollments.anchor,
    enrollments.entered_at,
    enrollments.exited_at,
    enrollments.exit_reason
from lifecycle.enrollments as enrollments
where
    enrollments.journey = :journey
    and enrollments.customer_id = :customer_id
order by enrollments.entered_at desc, enrollments.anchor asc
