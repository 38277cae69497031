-- Who ordered after entering the journey: they reached what it is for, and it ends for them.
-- Reads: shop.enrollments, shop.orders.
select
    enrollments.customer_id,
    enrollments.anchor,
    min(orders.ordered_at) as converted_at
from shop.enrollments as enrollments
inner join shop.orders as orders
    on
        enrollments.customer_id = orders.customer_id
        and enrollments.entered_at <= orders.ordered_at
where
    enrollments.journey = '${journey}'
    and enrollments.exited_at is null
group by enrollments.customer_id, enrollments.anchor
order by enrollments.customer_id, enrollments.anchor
