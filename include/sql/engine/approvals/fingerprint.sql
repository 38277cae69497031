-- A number that tells an audience from every other one: it changes with any person and anchor, not with their order.
select
    cast(
        coalesce(sum(cast(hashtextextended(audiences.customer_id || E'\n' || audiences.anchor, 0) as numeric)), 0)
        as text
    ) as fingerprint
from lifecycle.audiences as audiences
where
    audiences.run_id = :run_id
    and audiences.step = :step
