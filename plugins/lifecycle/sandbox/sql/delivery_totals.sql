-- How many of our message ids went out, and how many of them more than once.
select
    count(*) as message_ids,
    coalesce(sum(deliveries > 1), 0) as duplicates,
    coalesce(sum(deliveries), 0) as deliveries
from (
    select count(*) as deliveries
    from messages
    where message_id is not null and state = 'sent'
    group by message_id
)
