-- What is to happen now, in order.
select
    id,
    number,
    kind,
    name,
    url,
    payload,
    attempts
from happenings
where state = 'pending' and due_at <= :now
order by due_at, id
limit :limit
