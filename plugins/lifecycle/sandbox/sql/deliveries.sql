-- How often each of our message ids went out. What is still held back, or was cancelled, did not.
select
    message_id,
    count(*) as deliveries
from messages
where message_id is not null and state = 'sent'
group by message_id
having count(*) >= :at_least
