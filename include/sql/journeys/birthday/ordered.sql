-- Who ordered after they entered: the birthday brought them back (H-02).
-- Each person is looked up by themselves: few are in the journey, whatever the size of the shop.
-- Reads: shop.enrollments, shop.orders.
select
    enrollments.customer_id,
    enrollments.anchor,
    first_order.converted_at
from shop.enrollments as enrollments
cross join
    lateral (
        select min(orders.ordered_at) as converted_at
        from shop.orders as orders
        where
            orders.customer_id = enrollments.customer_id
            and orders.ordered_at >= enrollments.entered_at
    ) as first_order
where
    enrollments.journey = 'birthday'
    and enrollments.exited_at is null
    and first_order.converted_at is not null
order by enrollments.customer_id, enrollments.anchor
