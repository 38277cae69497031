-- The people of a step's audience; null when they are more than `:most`.
select case when count(*) <= :most then coalesce(array_agg(people.customer_id), '{}') end as customer_ids
from (
    select distinct audiences.customer_id
    from lifecycle.audiences as audiences
    where
        audiences.run_id = :run_id
        and audiences.step = :step
    order by audiences.customer_id
    limit :most + 1
) as people
