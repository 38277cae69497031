-- Takes back that people were past the entry of later runs, when they turn out to have entered before: a day before
-- them was repaired. Returns which steps of which days have to be planned again.
with readmitted as (

    delete from lifecycle.messages as messages
    using lifecycle.runs as runs, lifecycle.enrollments as enrollments
    where
        runs.journey = :journey
        and runs.run_day > :run_day
        and messages.run_id = runs.run_id
        and messages.send_state = 'skipped'
        and messages.reason = 'past_entry'
        and enrollments.journey = messages.journey
        and enrollments.customer_id = messages.customer_id
        and enrollments.anchor = messages.anchor
        and enrollments.entered_at <= messages.as_of
    returning messages.run_id, messages.step, runs.run_day

)

select distinct
    readmitted.run_id,
    readmitted.run_day,
    readmitted.step
from readmitted
order by readmitted.run_day, readmitted.step
