-- How many of the messages that a rehearsal counted as received were followed by the goal within its days, by step.
-- Nobody was really messaged in a rehearsal: these people reached the goal by themselves.
select
    messages.step,
    count(*) as people
from lifecycle.messages as messages
inner join (
    select
        found.customer_id,
        found.anchor,
        min(found.converted_at) as converted_at
    from pg_temp.found_conversions as found
    group by found.customer_id, found.anchor
) as reached
    on
        messages.customer_id = reached.customer_id
        and messages.anchor = reached.anchor
where
    messages.journey = :journey
    and messages.send_state = 'accepted'
    and reached.converted_at >= messages.as_of
    and reached.converted_at < messages.as_of + make_interval(days => :within_days)
group by messages.step
