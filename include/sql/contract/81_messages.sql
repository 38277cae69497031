-- Messages that were planned before as_of(), with what became of them. `planned_for` is the midnight of the day they
-- were planned on, which is later than that of their run when a missed day was repaired.
create or replace view shop.messages as
select
    messages.customer_id,
    messages.journey,
    messages.step,
    messages.anchor,
    messages.channel,
    messages.send_state,
    messages.reason,
    planned.planned_for
from lifecycle.messages as messages
cross join
    lateral (
        select
            case
                when messages.planned_on = messages.run_day then messages.as_of
                else cast(messages.planned_on as timestamp) at time zone current_setting('timezone')
            end as planned_for
    ) as planned
where planned.planned_for < lifecycle.as_of()
