-- How many messages came in, by channel and by what became of them.
select
    channel,
    state,
    count(*) as messages
from messages
group by channel, state
