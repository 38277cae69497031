-- Marks a row after it was sent.
update public.naive_queue set state = 'done' where message_id = %s returning message_id
