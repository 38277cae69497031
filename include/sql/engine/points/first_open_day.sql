-- The first day of a span that was not accrued yet.
select min(days.day)::date as day
from generate_series(cast(:first as date), cast(:last as date), interval '1 day') as days (day)
where not exists (
    select 1
    from lifecycle.accrued_days as accrued_days
    where accrued_days.programme = :programme and accrued_days.day = days.day
)
