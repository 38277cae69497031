-- How many messages of a step still wait in the queue of a shard.
select count(*) as waiting
from lifecycle.messages as messages
where
    messages.journey = :journey
    and messages.step = :step
    and messages.send_state = 'queued'
    and mod(abs(hashtext(messages.message_id::text)::bigint), :shards) = :shard
