-- What came after a known message, oldest first, so that a reader can follow without gaps.
select messages.*, requests.received_at, requests.body as request
from messages
inner join requests using (request_id)
where
    messages.id > :since_id
    and (:to_address is null or messages.to_address = :to_address)
    and (:person is null or instr(lower(messages.to_address), lower(:person)) > 0)
    and (:channel is null or messages.channel = :channel)
order by messages.id
limit :limit
