-- Cancels or pauses a batch, or lets it go again.
update batches
set status = :status
where batch_id = :batch_id
