-- The messages of the measured day.
select messages.message_id
from lifecycle.messages as messages
where messages.run_day = '2026-03-31'
