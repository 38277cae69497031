-- What a code leads to: the link, its message, and the person it was sent to.
select
    links.name,
    links.target_url,
    messages.message_id,
    messages.journey,
    messages.step,
    messages.channel,
    messages.customer_id,
    messages.as_of,
    runs.zone,
    runs.skew_days
from lifecycle.links as links
inner join lifecycle.messages as messages on links.message_id = messages.message_id
inner join lifecycle.runs as runs on messages.run_id = runs.run_id
where links.code = :code
