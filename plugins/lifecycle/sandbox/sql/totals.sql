-- How much came in, by channel.
select
    channel,
    count(*) as messages,
    coalesce(sum(sms_parts), 0) as parts
from messages
group by channel
