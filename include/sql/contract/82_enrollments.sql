-- Who entered which journey before as_of(); an exit is shown once it is known.
create or replace view shop.enrollments as
select
    enrollments.customer_id,
    enrollments.journey,
    enrollments.anchor,
    enrollments.entered_at,
    case when enrollments.exited_at < lifecycle.as_of() then enrollments.exited_at end as exited_at,
    case when enrollments.exited_at < lifecycle.as_of() then enrollments.exit_reason end as exit_reason
from lifecycle.enrollments as enrollments
where enrollments.entered_at < lifecycle.as_of()
