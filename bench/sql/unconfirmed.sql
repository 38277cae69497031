-- How many messages of the measured day were given up without evidence.
select count(*) as unconfirmed
from lifecycle.messages as messages
where
    messages.run_day = '2026-03-31'
    and messages.send_state = 'unconfirmed'
