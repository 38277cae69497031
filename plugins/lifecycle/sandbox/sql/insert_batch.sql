-- A new batch id.
insert into batches (batch_id) values (:batch_id)
