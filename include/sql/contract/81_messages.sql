-- Messages that runs before as_of() planned, with what became of them.
create or replace view shop.messages as
select
    messages.customer_id,
    messages.journey,
    messages.step,
    messages.anchor,
    messages.channel,
    messages.send_state,
    messages.reason,
    messages.as_of as planned_for
from lifecycle.messages as messages
where messages.as_of < lifecycle.as_of()
