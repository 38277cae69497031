-- The SMS that a rehearsed run would send, with what their text is made of.
select
    messages.step,
    messages.customer_id,
    messages.variables
from lifecycle.messages as messages
where
    messages.run_id = :run_id
    and messages.send_state = 'queued'
    and messages.channel = 'sms'
order by messages.step, messages.customer_id
