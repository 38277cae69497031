-- Takes new rows, and rows whose worker did not report back in four seconds.
update public.naive_queue as queue
set state = 'taken', taken_at = now()
where queue.place in (
    select place
    from public.naive_queue
    where state = 'new' or (state = 'taken' and taken_at < now() - interval '4 seconds')
    order by place
    limit %s
    for update skip locked
)
returning queue.message_id, queue.phone
