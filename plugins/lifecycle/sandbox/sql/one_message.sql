-- One message by its number.
select messages.*, requests.received_at, requests.body as request
from messages
inner join requests using (request_id)
where messages.id = :id
