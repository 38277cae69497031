-- Messages that were planned before as_of(), with what had become of them by then: one that was settled later still
-- waits. `planned_for` is the midnight of the day they were planned on, which is later than that of their run when a
-- missed day was repaired. A run that played another day settled its messages on that day, as far as the journey knows.
create or replace view shop.messages as
select
    messages.customer_id,
    messages.journey,
    messages.step,
    messages.anchor,
    messages.channel,
    case when known.is_settled_later then 'queued' else messages.send_state end as send_state,
    case when not known.is_settled_later then messages.reason end as reason,
    known.planned_for
from lifecycle.messages as messages
inner join lifecycle.runs as runs on messages.run_id = runs.run_id
cross join
    lateral (
        select
            case
                when messages.planned_on = messages.run_day then messages.as_of
                else cast(messages.planned_on as timestamp) at time zone current_setting('timezone')
            end as planned_for,
            coalesce(
                messages.settled_at - make_interval(days => runs.skew_days) >= lifecycle.as_of(), false
            ) as is_settled_later
    ) as known
where known.planned_for < lifecycle.as_of()
