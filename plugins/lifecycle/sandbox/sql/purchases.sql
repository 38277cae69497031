-- Who bought something because of a message, and when.
select
    messages.id as number,
    messages.message_id,
    messages.channel,
    messages.to_address,
    happenings.due_at
from happenings
inner join messages on happenings.number = messages.id
where happenings.kind = 'buy' and happenings.due_at <= :now
order by happenings.due_at, happenings.id
