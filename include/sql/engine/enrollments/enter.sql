-- Enters the audience of a step into the journey; who is in already stays as they are (one enrollment per anchor), but
-- for the day: whatever order days are repaired in, people entered on the first of them.
insert into lifecycle.enrollments as enrollments (journey, customer_id, anchor, entered_at)
select
    :journey as journey,
    audiences.customer_id,
    audiences.anchor,
    runs.as_of as entered_at
from lifecycle.audiences as audiences
inner join lifecycle.runs as runs on audiences.run_id = runs.run_id
where
    audiences.run_id = :run_id
    and audiences.step = :step
order by audiences.customer_id, audiences.anchor
on conflict (journey, customer_id, anchor) do update
    set entered_at = excluded.entered_at
    where enrollments.entered_at > excluded.entered_at
