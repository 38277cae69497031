-- How many are open, and how many are done, as the design believes.
select
    count(*) filter (where state <> 'done') as open_messages,
    count(*) filter (where state = 'done') as decided
from public.naive_queue
