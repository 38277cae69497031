-- The people of the queue.
select message_id from public.naive_queue
