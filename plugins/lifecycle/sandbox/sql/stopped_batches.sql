-- The batches that are cancelled or paused.
select
    batch_id,
    status
from batches
where status is not null
order by batch_id
