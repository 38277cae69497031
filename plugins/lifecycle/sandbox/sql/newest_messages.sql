-- The newest messages, newest first. Every filter may be null.
select messages.*, requests.received_at, requests.body as request
from messages
inner join requests using (request_id)
where
    (:to_address is null or messages.to_address = :to_address)
    and (:person is null or instr(lower(messages.to_address), lower(:person)) > 0)
    and (:channel is null or messages.channel = :channel)
    and (:before_id is null or messages.id < :before_id)
order by messages.id desc
limit :limit offset :offset
