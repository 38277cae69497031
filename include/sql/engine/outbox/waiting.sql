-- How many messages of a step still wait in the queue of a shard, and how many of them only because the provider asked
-- us to, even if the time it asked for has passed by now: whom the kill switch holds back waits for a person, and
-- whoever sleeps waits for the morning.
select
    count(*) as waiting,
    count(*) filter (
        where messages.retry_after is not null
        and (messages.send_after is null or messages.send_after <= now())
        and not exists (
            select 1
            from lifecycle.send_controls as controls
            where
                controls.state = 'paused'
                and controls.scope in ('all', messages.channel, messages.journey)
        )
    ) as postponed
from lifecycle.messages as messages
where
    messages.journey = :journey
    and messages.step = :step
    and messages.send_state = 'queued'
    and messages.message_id between cast(:first_id as uuid) and cast(:last_id as uuid)
    and messages.as_of <= lifecycle.as_of()
