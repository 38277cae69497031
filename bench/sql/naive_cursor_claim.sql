-- Takes new rows and counts them as done at once.
update public.naive_queue as queue
set state = 'done'
where queue.place in (
    select place
    from public.naive_queue
    where state = 'new'
    order by place
    limit %s
    for update skip locked
)
returning queue.message_id, queue.phone
