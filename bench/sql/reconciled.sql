-- How many messages of the measured day were in doubt at least once.
select count(distinct attempts.message_id) as reconciled
from lifecycle.attempts as attempts
inner join lifecycle.messages as messages on attempts.message_id = messages.message_id
where
    messages.run_day = '2026-03-31'
    and attempts.outcome in ('lost', 'uncertain')
