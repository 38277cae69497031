-- Who ordered again once the thanks were due: nothing more is sent to them (J-04, K-07). Whoever ordered again before
-- that is not converted: the newer order takes the place of the older one (A-2).
-- Who entered more than 60 days ago is not asked any more. Reads: shop.enrollments, shop.order_outcomes.
select
    enrollments.customer_id,
    enrollments.anchor,
    orders.next_ordered_at as converted_at
from shop.enrollments as enrollments
inner join shop.order_outcomes as orders on enrollments.anchor = orders.order_id
where
    enrollments.journey = 'post_purchase'
    and enrollments.exited_at is null
    and enrollments.entered_at >= as_of() - interval '60 days'
    and orders.next_ordered_at >= greatest(orders.delivered_at, orders.ordered_at + interval '7 days')
order by enrollments.customer_id, enrollments.anchor
