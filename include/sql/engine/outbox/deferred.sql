-- The steps that have messages whose quiet hours are over, with the runs that planned them, oldest first.
select distinct
    messages.journey,
    messages.step,
    runs.as_of,
    runs.run_day,
    runs.zone,
    runs.run_type,
    runs.late_days,
    runs.skew_days
from lifecycle.messages as messages
inner join lifecycle.runs as runs on messages.run_id = runs.run_id
where
    messages.send_state = 'queued'
    and messages.send_after <= now()
    and not exists (
        select 1
        from lifecycle.send_controls as controls
        where
            controls.state = 'paused'
            and controls.scope in ('all', messages.channel, messages.journey)
    )
order by runs.as_of, messages.journey, messages.step
