-- A person's refusal: suppresses the address of the message at once, and keeps the refusal as consent (H-08).
with refused as (

    insert into lifecycle.consents (customer_id, channel, is_granted, source, proof)
    select
        messages.customer_id,
        messages.channel,
        false as is_granted,
        :source as source,
        jsonb_build_object('message_id', messages.message_id) as proof
    from lifecycle.messages as messages
    where messages.message_id = :message_id

)

insert into lifecycle.suppressions (channel, address_hash, reason, source)
select
    messages.channel,
    messages.address_hash,
    'unsubscribed' as reason,
    :source as source
from lifecycle.messages as messages
where
    messages.message_id = :message_id
    and messages.address_hash is not null
on conflict (channel, address_hash, reason) do update
    set lifted_at = null, source = excluded.source
