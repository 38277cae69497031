-- Who got the last message of the ladder on an earlier day and never reacted to any: no more marketing SMS (J-10).
-- To give people longer, ask for `messages.planned_for < as_of() - interval '7 days'`.
-- Reads: shop.enrollments, shop.messages, shop.clicks.
select
    enrollments.customer_id,
    enrollments.anchor
from shop.enrollments as enrollments
inner join shop.messages as messages
    on
        enrollments.customer_id = messages.customer_id
        and enrollments.anchor = messages.anchor
        and messages.journey = 'reactivation'
        and messages.step = 'coupon'
        and messages.send_state = 'accepted'
where
    enrollments.journey = 'reactivation'
    and enrollments.exited_at is null
    and messages.planned_for < as_of()
    and not exists (
        select 1
        from shop.clicks as clicks
        where
            clicks.customer_id = enrollments.customer_id
            and clicks.journey = 'reactivation'
            and clicks.anchor = enrollments.anchor
    )
order by enrollments.customer_id, enrollments.anchor
