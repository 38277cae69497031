-- How many are open, how many of these wait to be sent, and how many are done, as the design believes.
select
    count(*) filter (where state <> 'done') as open_messages,
    count(*) filter (where state = 'new') as queued,
    count(*) filter (where state = 'done') as decided
from public.naive_queue
