-- Takes the next turns of a sending number for what a sender may claim now, at most :most; no row for nothing.
-- On the database's clock, so that all senders agree; a number that was idle has saved nothing up.
with ready as (

    select count(*) as messages
    from (
        select messages.message_id
        from lifecycle.messages as messages
        where
            messages.journey = :journey
            and messages.step = :step
            and messages.send_state = 'queued'
            and (messages.retry_after is null or messages.retry_after <= now())
            and (messages.send_after is null or messages.send_after <= now())
            and messages.as_of <= lifecycle.as_of()
            and messages.message_id between cast(:first_id as uuid) and cast(:last_id as uuid)
            and not exists (
                select 1
                from lifecycle.send_controls as controls
                where
                    controls.state = 'paused'
                    and controls.scope in ('all', messages.channel, messages.journey)
            )
        order by messages.journey, messages.step, messages.message_id
        limit :most
    ) as messages

)

insert into lifecycle.sender_turns as turns (sender, next_at)
select
    :sender as sender,
    clock_timestamp() + ready.messages * make_interval(secs => :seconds_each) as next_at
from ready
where ready.messages > 0
on conflict (sender) do update
    set
        next_at
        = greatest(turns.next_at, clock_timestamp())
        + (select ready.messages * make_interval(secs => :seconds_each) from ready)
returning
    extract(epoch from turns.next_at - clock_timestamp())::double precision as ends_in_seconds,
    (select ready.messages from ready) as messages
