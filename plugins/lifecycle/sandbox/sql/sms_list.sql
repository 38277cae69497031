-- Twilio's list of messages: newest first, nothing younger than the index. Every filter may be null.
select messages.*, requests.received_at, requests.body as request
from messages
inner join requests using (request_id)
where
    messages.channel = 'sms'
    and messages.accepted_at <= :indexed_until
    and (:to_address is null or messages.to_address = :to_address)
    -- Between the first and the last to that address: the index finds both, and nobody else's have to be looked at.
    and messages.id >= case when :to_address is null then 0 else (
        select min(known.id)
        from messages as known
        where known.to_address = :to_address
    ) end
    and messages.id <= case when :to_address is null then 9223372036854775807 else (
        select max(known.id)
        from messages as known
        where known.to_address = :to_address
    ) end
    and (:sender is null or messages.sender = :sender)
    and (:sent_from is null or messages.sent_at >= :sent_from)
    and (:sent_until is null or messages.sent_at <= :sent_until)
order by messages.id desc
limit :limit offset :offset
