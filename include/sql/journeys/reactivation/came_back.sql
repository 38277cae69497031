-- Who showed a sign of life after entering the ladder: they are active again (J-10, H-02).
-- Each person is looked up by themselves: few are in the ladder, whatever the size of the shop.
-- Reads: shop.enrollments, shop.activities.
select
    enrollments.customer_id,
    enrollments.anchor,
    first_sign.converted_at
from shop.enrollments as enrollments
cross join
    lateral (
        select min(activities.occurred_at) as converted_at
        from shop.activities as activities
        where
            activities.customer_id = enrollments.customer_id
            and activities.occurred_at >= enrollments.entered_at
    ) as first_sign
where
    enrollments.journey = 'reactivation'
    and enrollments.exited_at is null
    and first_sign.converted_at is not null
order by enrollments.customer_id, enrollments.anchor
