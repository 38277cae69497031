-- Messages that just went out, with what is needed to say what becomes of them.
select
    messages.id as number,
    messages.request_id,
    messages.channel,
    messages.provider_id,
    messages.message_id,
    messages.to_address,
    messages.sender,
    messages.text,
    messages.position,
    messages.sms_parts,
    messages.sent_at
from messages
where
    messages.id in (
        select value
        from json_each(:numbers)
    )
    and messages.state = 'sent'
order by messages.id
