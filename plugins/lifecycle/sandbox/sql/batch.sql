-- One batch, if it was ever handed out.
select
    batch_id,
    status
from batches
where batch_id = :batch_id
