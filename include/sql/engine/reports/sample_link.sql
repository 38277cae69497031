-- The link to a landing page in the newest message that was accepted.
select links.code
from lifecycle.links as links
inner join lifecycle.messages as messages on links.message_id = messages.message_id
where
    messages.journey = :journey
    and messages.send_state = 'accepted'
    and links.target_url is null
    and links.name <> 'unsubscribe'
order by messages.as_of desc, messages.message_id asc
limit 1
