-- How often each of our message ids was accepted.
select
    message_id,
    count(*) as deliveries
from messages
where message_id is not null
group by message_id
