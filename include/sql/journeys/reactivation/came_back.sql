-- Who showed a sign of life after entering the ladder: they are active again (J-10, H-02).
-- Reads: shop.enrollments, shop.activities.
select
    enrollments.customer_id,
    enrollments.anchor,
    min(activities.occurred_at) as converted_at
from shop.enrollments as enrollments
inner join shop.activities as activities
    on
        enrollments.customer_id = activities.customer_id
        and activities.occurred_at >= enrollments.entered_at
where
    enrollments.journey = 'reactivation'
    and enrollments.exited_at is null
group by enrollments.customer_id, enrollments.anchor
order by enrollments.customer_id, enrollments.anchor
