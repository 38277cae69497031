-- One SMS by the SID it was given.
select messages.*, requests.received_at, requests.body as request
from messages
inner join requests using (request_id)
where messages.provider_id = :provider_id and messages.channel = 'sms'
