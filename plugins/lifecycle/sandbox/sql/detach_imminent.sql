-- Messages too close to their time to be stopped leave their batch, and so are sent.
update messages
set batch_id = null
where batch_id = :batch_id and state = 'scheduled' and send_at <= :until
