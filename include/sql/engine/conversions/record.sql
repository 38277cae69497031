-- Records who reached the goal and ends their enrollment, so that nobody who converted is chased (K-07).
-- The conversion is credited to the last message accepted in the goal's days before it (K-02).
with reached as (

    select
        enrollments.enrollment_id,
        enrollments.customer_id,
        enrollments.anchor,
        min(found.converted_at) as converted_at
    from pg_temp.found_conversions as found
    inner join lifecycle.enrollments as enrollments
        on
            found.customer_id = enrollments.customer_id
            and found.anchor = enrollments.anchor
    where
        enrollments.journey = :journey
        and enrollments.exited_at is null
        and found.converted_at >= enrollments.entered_at
    group by enrollments.enrollment_id, enrollments.customer_id, enrollments.anchor

),

exited as (

    update lifecycle.enrollments as enrollments
    set exited_at = reached.converted_at, exit_reason = 'converted'
    from reached
    where
        enrollments.enrollment_id = reached.enrollment_id
        and enrollments.exited_at is null

)

insert into lifecycle.conversions (journey, customer_id, anchor, converted_at, run_id, attributed_step)
select
    :journey as journey,
    reached.customer_id,
    reached.anchor,
    reached.converted_at,
    :run_id as run_id,
    (
        select messages.step
        from lifecycle.messages as messages
        where
            messages.journey = :journey
            and messages.customer_id = reached.customer_id
            and messages.anchor = reached.anchor
            and messages.send_state = 'accepted'
            and messages.planned_on <= cast(reached.converted_at as date)
            and messages.planned_on > cast(reached.converted_at as date) - :within_days
        order by messages.planned_on desc, messages.as_of desc
        limit 1
    ) as attributed_step
from reached
order by reached.customer_id, reached.anchor
on conflict (journey, customer_id, anchor) do nothing
