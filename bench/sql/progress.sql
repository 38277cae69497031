-- How many messages of the measured day are still open, how many of these wait to be sent, and how many are decided.
select
    count(*) filter (where messages.send_state in ('planned', 'queued', 'sending', 'uncertain')) as open_messages,
    count(*) filter (where messages.send_state = 'queued') as queued,
    count(*) filter (where messages.send_state not in ('planned', 'queued', 'sending', 'uncertain')) as decided
from lifecycle.messages as messages
where messages.run_day = '2026-03-31'
