-- When the next held message may be due; null when none is held.
select min(send_at) as send_at
from messages
where state = 'scheduled'
