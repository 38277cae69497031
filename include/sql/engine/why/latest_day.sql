-- The last run day of a journey that decided about a message for a person.
select max(messages.run_day) as run_day
from lifecycle.messages as messages
where
    messages.customer_id = :customer_id
    and messages.journey = :journey
