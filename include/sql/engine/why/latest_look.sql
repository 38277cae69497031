-- The last instant of a day at which a journey decided about a message for a person; null when it did at none.
select max(messages.as_of) as as_of
from lifecycle.messages as messages
where
    messages.customer_id = :customer_id
    and messages.journey = :journey
    and messages.run_day = :run_day
